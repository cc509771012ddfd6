//! The policy.

use portolan_plugin::{
    Policy,
    migration::{
        Board, Budget, Description, Draft, Error, Metric, Plan, SlotRange, Snapshot, Trigger, Why,
        runs,
    },
};
use serde::Deserialize;

use crate::{Load, balance::Balance};

/// The policy's settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What counts as load.
    pub metric: Load,
    /// A shard with less load than this is never relieved; see [`Load::worth_acting`].
    pub min_load: Option<f64>,
    /// How far above its share a shard's load must be, in percent of it, before anything moves. It is
    /// then brought down to half of that.
    pub threshold_percent: f64,
    /// A move takes at least this much load away, in percent of the share of the shard that gives.
    pub min_gain_percent: f64,
    /// Statistics older than this say nothing.
    pub max_age_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            metric: Load::default(),
            min_load: None,
            threshold_percent: 20.0,
            min_gain_percent: 5.0,
            max_age_seconds: 300,
        }
    }
}

/// Relieves hot shards.
pub struct HotSlots {
    settings: Settings,
    min_load: f64,
}

impl Policy for HotSlots {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            summary: "Moves the busiest slots of overloaded shards to idle ones, and rather does \
                      nothing."
                .to_owned(),
            score: "The load that shards carry above their share, in percent of all load."
                .to_owned(),
            triggers: vec![Trigger::Hot, Trigger::Periodic, Trigger::Manual],
            metrics: vec![
                Metric::Ops,
                Metric::Cpu,
                Metric::Network,
                Metric::Bytes,
                Metric::Keys,
            ],
        }
    }

    fn new(settings: Settings) -> Result<Self, Error> {
        let min_load = settings.min_load;
        let min_load = min_load.unwrap_or_else(|| settings.metric.worth_acting());
        for (name, number, least, most) in [
            ("threshold_percent", settings.threshold_percent, 1.0, 1000.0),
            ("min_gain_percent", settings.min_gain_percent, 0.1, 100.0),
            ("min_load", min_load, 0.0, f64::MAX),
        ] {
            if !(least..=most).contains(&number) {
                return Err(Error::Invalid(match most {
                    f64::MAX => format!("`{name}` is {number}; it is {least} or more"),
                    _ => format!("`{name}` is {number}; it is from {least} to {most}"),
                }));
            }
        }
        Ok(Self { settings, min_load })
    }

    fn propose(&self, snapshot: &Snapshot, budget: &Budget) -> Result<Plan, Error> {
        let mut board = Board::new(snapshot)?;
        let mut draft = Draft::new(&board, budget);
        let age = snapshot.sample_age_ms / 1000;
        if age > self.settings.max_age_seconds {
            let most = self.settings.max_age_seconds;
            let reason =
                format!("the statistics are {age} s old, and more than {most} s is too old");
            return Ok(draft.finish(0.0, 0.0, vec![reason]));
        }
        let mut balance = match Balance::new(&board, self.settings.metric) {
            Ok(balance) => balance,
            Err(reason) => return Ok(draft.finish(0.0, 0.0, vec![reason])),
        };

        let before = balance.score();
        let is_hot = |shard: &usize| self.is_hot(&balance, *shard);
        let mut hot: Vec<usize> = balance.shards().filter(is_hot).collect();
        let reasons = match hot.is_empty() {
            true => vec![self.calm(&balance, &board)],
            false => Vec::new(),
        };
        // The hottest of the shards that are hot still, until each is relieved or beyond help.
        let relieved = self.settings.threshold_percent / 2.0;
        while let Some(from) = balance.hottest(&hot) {
            let helped = balance.excess_percent(from) > relieved
                && self.relieve(&mut balance, &mut board, &mut draft, from);
            if !helped {
                hot.retain(|&shard| shard != from);
            }
        }
        let after = balance.score().min(before);
        Ok(draft.finish(before, after, reasons))
    }
}

/// A move away from a hot shard to the idlest one.
struct Shift {
    from: usize,
    to: usize,
    /// How much load the target has room for.
    room: f64,
    /// The least and the most load that the move shall take away.
    wanted: (f64, f64),
    /// How hot the shard is, in words.
    hot: String,
}

impl HotSlots {
    fn is_hot(&self, balance: &Balance, shard: usize) -> bool {
        balance.excess_percent(shard) > self.settings.threshold_percent
            && balance.load(shard) >= self.min_load
    }

    /// Proposes one move away from a hot shard, or says why there is none.
    fn relieve(
        &self,
        balance: &mut Balance,
        board: &mut Board,
        draft: &mut Draft,
        from: usize,
    ) -> bool {
        let metric = self.settings.metric;
        let (load, due) = (balance.load(from), balance.due(from));
        let percent = balance.excess_percent(from);
        let hot = format!(
            "shard {} carries {}, {percent:.0} % above its share of {}",
            board.shards()[from].index,
            metric.show(load),
            metric.show(due)
        );
        let Some(hottest) = balance.loads.hottest(board, from) else {
            if let Some(range) = runs(|slot| board.owner(slot) == Some(from)).first() {
                let text = format!("{hot}, but none of its slots may move");
                draft.reject(board, *range, from, None, "held", text);
            }
            return false;
        };
        // If the idlest shard cannot take a range without getting hot itself, no other can.
        let Some(to) = balance.idlest(board, from) else {
            let text = format!("{hot}, but no other shard can take anything in");
            draft.reject(board, hottest.0, from, None, "no-target", text);
            return false;
        };
        let room = balance.due(to) - balance.load(to);
        let least = due * self.settings.min_gain_percent / 100.0;
        let shift = Shift {
            from,
            to,
            room,
            wanted: (least, room.min(load - due)),
            hot,
        };
        let affordable = |range| draft.affords(board, range);
        let picked = balance
            .loads
            .pick(board, from, shift.wanted, draft.room(), affordable);
        let Some((range, moved)) = picked else {
            self.tell_why_not(balance, board, draft, &shift, hottest);
            return false;
        };
        let why = Why {
            // The hottest goes first.
            priority: percent.min(f64::from(u16::MAX)) as u32,
            code: "hot",
            text: format!(
                "{}; slots {range} carry {} of it, and shard {} has room for {}",
                shift.hot,
                metric.show(moved),
                board.shards()[to].index,
                metric.show(room)
            ),
            gain: balance.percent(moved),
        };
        draft.propose(board, range, from, to, why);
        balance.recount(board);
        true
    }

    /// Shows why nothing of a hot shard moves to the idlest one.
    fn tell_why_not(
        &self,
        balance: &Balance,
        board: &Board,
        draft: &mut Draft,
        shift: &Shift,
        (slot, carries): (SlotRange, f64),
    ) {
        let metric = self.settings.metric;
        let &Shift {
            from,
            to,
            room,
            wanted,
            ..
        } = shift;
        if let Some((range, _)) = balance
            .loads
            .pick(board, from, wanted, usize::MAX, |_| true)
        {
            draft.reject_over_budget(board, range, from, to);
            return;
        }
        let (least, most) = wanted;
        let (hot, target) = (&shift.hot, board.shards()[to].index);
        let (code, text) = if most < least {
            let text = format!(
                "{hot}; the idlest shard, {target}, has room for {} more, and less than {} is not worth \
                 a move",
                metric.show(room.max(0.0)),
                metric.show(least)
            );
            ("small-gain", text)
        } else if carries > most {
            let text = format!(
                "{hot}; slot {slot} alone carries {}, which would only make shard {target} hot, and the \
                 rest is not worth a move",
                metric.show(carries)
            );
            ("too-hot", text)
        } else {
            let text = format!(
                "{hot}, but no range that may move carries {}, and less is not worth a move",
                metric.show(least)
            );
            ("small-gain", text)
        };
        draft.reject(board, slot, from, Some(to), code, text);
    }

    /// Why nothing is hot.
    fn calm(&self, balance: &Balance, board: &Board) -> String {
        let metric = self.settings.metric;
        let all: Vec<usize> = balance.shards().collect();
        let Some(busiest) = balance.hottest(&all) else {
            return "no shard carries any load".to_owned();
        };
        let index = board.shards()[busiest].index;
        let load = metric.show(balance.load(busiest));
        let percent = balance.excess_percent(busiest);
        let threshold = self.settings.threshold_percent;
        if percent > threshold {
            return format!(
                "shard {index} is {percent:.0} % above its share, but carries just {load}, and less than \
                 {} does not matter",
                metric.show(self.min_load)
            );
        }
        format!(
            "the busiest shard, {index}, carries {load} where its share is {}, and up to {threshold} % \
             more is fine",
            metric.show(balance.due(busiest))
        )
    }
}
