//! Closed-loop load: every client sends its next request when the last one is answered.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::wire::Connection;

/// Threads of the generator: the servers under load have the same cores.
const GENERATOR_THREADS: usize = 2;

const WARMING_UP: u8 = 0;
const MEASURING: u8 = 1;
const STOPPING: u8 = 2;

/// A small, fast pseudo-random generator (xorshift64*), seeded per client.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator of its own for every seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}

/// Makes a client's next request.
type MakeRequest = Arc<dyn Fn(&mut Rng) -> Vec<u8> + Send + Sync>;

/// What to send, to whom, from how many clients.
#[derive(Clone)]
pub struct Load {
    address: String,
    clients: usize,
    make: MakeRequest,
}

/// What was measured between the end of the warm-up and the stop.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Requests answered with status 200.
    pub answered: u64,
    /// Requests answered otherwise.
    pub refused: u64,
    /// How long it was measured.
    pub elapsed: Duration,
    /// CPU seconds, as the caller's probe counts them, within that time.
    pub cpu_seconds: f64,
    /// Time per answered request, in microseconds.
    pub latency: Histogram<u64>,
}

impl Load {
    /// `clients` keep-alive connections to `address`, each sending what `make` makes.
    pub fn new(
        address: &str,
        clients: usize,
        make: impl Fn(&mut Rng) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self {
            address: address.to_owned(),
            clients,
            make: Arc::new(make),
        }
    }

    /// Warms up, then measures for `time`. `cpu_seconds` is read at both ends of the measurement.
    pub fn measure(
        &self,
        warm_up: Duration,
        time: Duration,
        cpu_seconds: impl Fn() -> f64,
    ) -> Measured {
        let phase = Arc::new(AtomicU8::new(WARMING_UP));
        let threads: Vec<_> = self
            .shares()
            .into_iter()
            .map(|clients| {
                let (load, phase) = (self.clone(), phase.clone());
                std::thread::spawn(move || load.drive(clients, &phase))
            })
            .collect();

        std::thread::sleep(warm_up);
        let (start, cpu_before) = (Instant::now(), cpu_seconds());
        phase.store(MEASURING, Ordering::Relaxed);
        std::thread::sleep(time);
        phase.store(STOPPING, Ordering::Relaxed);
        let (elapsed, cpu_after) = (start.elapsed(), cpu_seconds());

        let mut total = Tally::new();
        for thread in threads {
            total.add(&thread.join().expect("a load thread panicked"));
        }
        Measured {
            answered: total.answered,
            refused: total.refused,
            elapsed,
            cpu_seconds: cpu_after - cpu_before,
            latency: total.latency,
        }
    }

    /// Sends each of `requests` once, over `clients` connections; each must be answered with 200.
    pub async fn send_all(
        address: &str,
        clients: usize,
        requests: impl Iterator<Item = Vec<u8>> + Send + 'static,
    ) {
        let queue = Arc::new(Mutex::new(requests));
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let (queue, address) = (queue.clone(), address.to_owned());
            tasks.spawn(async move {
                let mut connection = Connection::open(&address).await.expect("connect");
                loop {
                    let next = queue.lock().expect("no holder panics").next();
                    let Some(request) = next else { break };
                    let (status, body) = connection.round_trip(&request).await.expect("an answer");
                    assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("a client panicked");
        }
    }

    /// The seeds of the clients of each thread.
    fn shares(&self) -> Vec<Vec<u64>> {
        let threads = GENERATOR_THREADS.min(self.clients);
        let seeds = |thread: usize| {
            (thread..self.clients)
                .step_by(threads)
                .map(|s| s as u64 + 1)
        };
        (0..threads).map(|thread| seeds(thread).collect()).collect()
    }

    fn drive(&self, seeds: Vec<u64>, phase: &Arc<AtomicU8>) -> Tally {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut clients = JoinSet::new();
            for seed in seeds {
                clients.spawn(self.clone().client(seed, phase.clone()));
            }
            let mut total = Tally::new();
            while let Some(tally) = clients.join_next().await {
                total.add(&tally.expect("a client panicked"));
            }
            total
        })
    }

    async fn client(self, seed: u64, phase: Arc<AtomicU8>) -> Tally {
        let mut rng = Rng::new(seed);
        let mut tally = Tally::new();
        let mut connection = Connection::open(&self.address).await.expect("connect");
        loop {
            let request = (self.make)(&mut rng);
            let start = Instant::now();
            let (status, _) = connection.round_trip(&request).await.expect("an answer");
            match phase.load(Ordering::Relaxed) {
                WARMING_UP => {}
                MEASURING if status == 200 => tally.count(start.elapsed()),
                MEASURING => tally.refused += 1,
                _ => return tally,
            }
        }
    }
}

/// One client's counts.
struct Tally {
    answered: u64,
    refused: u64,
    latency: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        let latency = Histogram::new(3).expect("three significant digits are supported");
        Self {
            answered: 0,
            refused: 0,
            latency,
        }
    }

    fn count(&mut self, took: Duration) {
        self.answered += 1;
        self.latency
            .record(took.as_micros() as u64)
            .expect("the histogram grows");
    }

    fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.latency
            .add(&other.latency)
            .expect("the histogram grows");
    }
}
