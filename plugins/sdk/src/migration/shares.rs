//! How many slots each shard shall have.

/// What one shard has, and what may become of it.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Relative to the others; 0 or more.
    pub weight: f64,
    /// The slots that it has.
    pub have: usize,
    /// Of these, the ones that must stay; all of them, where the shard cannot give.
    pub keep: usize,
    /// May it get more?
    pub takes: bool,
}

/// Steps of the search for the level: more than a float has bits.
const STEPS: usize = 200;

/// Distributes the slots that all shards have together by weight, as far as what must stay and who takes
/// allow: every shard gets `level * weight`, with one level for all.
///
/// Of the whole numbers next to that, each shard gets the one that is nearer to what it has, so the
/// fewest slots move. The answer for shards that have what this answers is the same again, and so it is
/// when only a part of the way has been gone.
pub fn apportion(shares: &[Share]) -> Vec<usize> {
    let mut goals: Vec<Option<usize>> = vec![None; shares.len()];
    loop {
        let open = || {
            let shares = shares.iter().zip(&goals).enumerate();
            shares
                .filter(|(_, (_, goal))| goal.is_none())
                .map(|(at, (share, _))| (at, share))
        };
        if !open().any(|(_, share)| share.takes && share.weight > 0.0) {
            return shares.iter().map(|share| share.have).collect();
        }
        let slots: usize = open().map(|(_, share)| share.have).sum();
        let level = level(open().map(|(_, share)| share), slots as f64);
        // Whoever cannot take what is due keeps what it has, and the others divide the rest. A part of
        // a slot does not count: it would be counted differently once slots have moved.
        let stuck: Vec<usize> = open()
            .filter(|(_, share)| !share.takes && due(share, level) >= (share.have + 1) as f64)
            .map(|(at, _)| at)
            .collect();
        if stuck.is_empty() {
            let whole = round(open().collect(), level, slots);
            for (at, goal) in whole {
                goals[at] = Some(goal);
            }
            let goals = goals.iter().zip(shares);
            return goals
                .map(|(goal, share)| goal.unwrap_or(share.have))
                .collect();
        }
        for at in stuck {
            goals[at] = Some(shares[at].have);
        }
    }
}

fn due(share: &Share, level: f64) -> f64 {
    (level * share.weight).max(share.keep as f64)
}

/// The level at which all that is due makes up `slots`.
fn level<'a>(shares: impl Iterator<Item = &'a Share>, slots: f64) -> f64 {
    let shares: Vec<&Share> = shares.collect();
    let lightest = shares.iter().map(|share| share.weight);
    let lightest = lightest
        .filter(|weight| *weight > 0.0)
        .fold(f64::MAX, f64::min);
    let (mut low, mut high) = (0.0, (slots + 1.0) / lightest);
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        let sum: f64 = shares.iter().map(|share| due(share, middle)).sum();
        if sum < slots {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Makes whole numbers of what is due.
fn round(shares: Vec<(usize, &Share)>, level: f64, slots: usize) -> Vec<(usize, usize)> {
    struct Seat {
        at: usize,
        goal: usize,
        /// The most that rounding may give.
        most: usize,
        has_more: bool,
        part: f64,
    }
    let mut seats: Vec<Seat> = shares
        .into_iter()
        .map(|(at, share)| {
            let due = due(share, level);
            let most = if share.takes { usize::MAX } else { share.have };
            let goal = (due.floor() as usize).min(most);
            let bound = share.weight <= 0.0 || level * share.weight <= share.keep as f64;
            Seat {
                at,
                goal,
                most: if bound { goal } else { most },
                has_more: share.have > goal,
                part: due - due.floor(),
            }
        })
        .collect();
    seats.sort_by(|a, b| {
        let more = b.has_more.cmp(&a.has_more);
        more.then(b.part.total_cmp(&a.part)).then(a.at.cmp(&b.at))
    });
    let given: usize = seats.iter().map(|seat| seat.goal).sum();
    let mut left = slots.saturating_sub(given);
    while left > 0 {
        let before = left;
        for seat in &mut seats {
            if left > 0 && seat.goal < seat.most {
                seat.goal += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    seats.into_iter().map(|seat| (seat.at, seat.goal)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(weight: f64, have: usize) -> Share {
        Share {
            weight,
            have,
            keep: 0,
            takes: true,
        }
    }

    #[test]
    fn slots_go_by_weight_and_the_rest_where_slots_are() {
        let equal = [share(100.0, 0), share(100.0, 6), share(100.0, 10)];
        assert_eq!(apportion(&equal), [5, 6, 5]);
        let weighted = [share(100.0, 16), share(300.0, 0)];
        assert_eq!(apportion(&weighted), [4, 12]);
        let empty = [share(0.0, 8), share(1.0, 8)];
        assert_eq!(apportion(&empty), [0, 16]);
    }

    #[test]
    fn what_must_stay_stays_and_who_cannot_take_does_not() {
        let stays = Share {
            keep: 10,
            ..share(100.0, 12)
        };
        assert_eq!(
            apportion(&[stays, share(100.0, 4), share(100.0, 0)]),
            [10, 3, 3]
        );
        let full = Share {
            takes: false,
            ..share(100.0, 1)
        };
        assert_eq!(
            apportion(&[full, share(100.0, 15), share(100.0, 0)]),
            [1, 8, 7]
        );
        assert_eq!(apportion(&[full, full]), [1, 1]);
        assert_eq!(apportion(&[]), [0; 0]);
    }

    /// Numbers as if by chance, the same every time (Marsaglia's xorshift).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: u64) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % bound).unwrap()
        }

        fn share(&mut self) -> Share {
            let have = self.below(200);
            Share {
                weight: [0.0, 37.0, 100.0, 100.0, 250.0][self.below(5)],
                have,
                keep: if self.below(4) == 0 {
                    have - have.min(self.below(200))
                } else {
                    0
                },
                takes: self.below(3) > 0,
            }
        }
    }

    #[test]
    fn the_answer_to_the_answer_is_the_same() {
        let mut dice = Dice(7);
        for _ in 0..20_000 {
            let count = dice.below(7);
            let shares: Vec<Share> = (0..count).map(|_| dice.share()).collect();
            let goals = apportion(&shares);
            let sum = |counts: &[usize]| counts.iter().sum::<usize>();
            let haves: Vec<usize> = shares.iter().map(|share| share.have).collect();
            assert_eq!(sum(&goals), sum(&haves), "{shares:?}");
            for (share, goal) in shares.iter().zip(&goals) {
                assert!(
                    *goal >= share.keep && (share.takes || *goal <= share.have),
                    "{shares:?}"
                );
            }
            // After all of the way, and after the first step of it.
            let pairs = shares.iter().zip(&goals);
            let there: Vec<Share> = pairs
                .map(|(share, &have)| Share { have, ..*share })
                .collect();
            assert_eq!(apportion(&there), goals, "{shares:?}");
            let moved = shares
                .iter()
                .zip(&goals)
                .position(|(share, goal)| share.have > *goal);
            let given = shares
                .iter()
                .zip(&goals)
                .position(|(share, goal)| share.have < *goal);
            if let (Some(from), Some(to)) = (moved, given) {
                let mut between = shares.clone();
                between[from].have -= 1;
                between[to].have += 1;
                assert_eq!(apportion(&between), goals, "{shares:?}");
            }
        }
    }
}
