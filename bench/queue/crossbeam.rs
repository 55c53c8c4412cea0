// SPDX-License-Identifier: Apache-2.0

//! crossbeam-channel: what harness.h does, in its words.
use crossbeam_channel::{bounded, Receiver, Sender};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

const WARM_UP_ROUNDS: u64 = 100;

struct Ended {
    start: Instant,
    end: Instant,
    sum: u64,
}

fn produce(sender: Sender<u64>, first: u64, count: u64) -> u64 {
    for value in first..first + count {
        sender.send(value).unwrap();
    }
    0
}

fn consume(receiver: Receiver<u64>, count: u64) -> u64 {
    (0..count).map(|_| receiver.recv().unwrap()).fold(0, u64::wrapping_add)
}

fn launch<F>(ready: &Arc<Barrier>, work: F) -> thread::JoinHandle<Ended>
where
    F: FnOnce() -> u64 + Send + 'static,
{
    let ready = Arc::clone(ready);
    thread::spawn(move || {
        ready.wait();
        let start = Instant::now();
        let sum = work();
        Ended { start, end: Instant::now(), sum }
    })
}

fn rate(producers: u64, consumers: u64, items: u64, capacity: usize) {
    let (sender, receiver) = bounded(capacity);
    let ready = Arc::new(Barrier::new((producers + consumers) as usize));
    let mut threads = Vec::new();
    for i in 0..producers {
        let (sender, count) = (sender.clone(), items / producers);
        threads.push(launch(&ready, move || produce(sender, 1 + i * count, count)));
    }
    for _ in 0..consumers {
        let (receiver, count) = (receiver.clone(), items / consumers);
        threads.push(launch(&ready, move || consume(receiver, count)));
    }
    let ended: Vec<Ended> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let start = ended.iter().map(|one| one.start).min().unwrap();
    let end = ended.iter().map(|one| one.end).max().unwrap();
    let sum = ended.iter().map(|one| one.sum).fold(0, u64::wrapping_add);
    assert_eq!(sum, items * (items + 1) / 2, "items were lost or doubled");
    println!("{:.6}", (end - start).as_secs_f64());
}

fn pingpong(rounds: u64, capacity: usize, pause: Duration) {
    let (there, there_end) = bounded(capacity);
    let (back, back_end) = bounded(capacity);
    thread::spawn(move || {
        for value in there_end {
            back.send(value).unwrap();
        }
    });
    let mut times = Vec::new();
    for i in 0..WARM_UP_ROUNDS + rounds {
        if !pause.is_zero() {
            thread::sleep(pause);
        }
        let start = Instant::now();
        there.send(i).unwrap();
        assert_eq!(back_end.recv(), Ok(i), "another item came back");
        times.push(start.elapsed());
    }
    let mut times = times.split_off(WARM_UP_ROUNDS as usize);
    times.sort();
    let at = |thousandths| times[(rounds * thousandths / 1000) as usize].as_nanos() as f64 / 1e3;
    println!("{:.2} {:.2} {:.2}", at(500), at(990), at(999));
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &str| text.parse::<u64>().unwrap();
    let counts: Vec<u64> = arguments[..3].iter().map(|text| number(text)).collect();
    let (mut mode, mut capacity, mut pause) = ("rate", 65536, Duration::ZERO);
    for option in &arguments[3..] {
        match option.split_once('=') {
            Some(("MODE", value)) => mode = value,
            Some(("CAPACITY", value)) => capacity = number(value) as usize,
            Some(("PAUSE_US", value)) => pause = Duration::from_micros(number(value)),
            _ => panic!("this queue has no option {}", option),
        }
    }
    match mode {
        "rate" => rate(counts[0], counts[1], counts[2], capacity),
        "pingpong" => pingpong(counts[2], capacity, pause),
        _ => panic!("this queue has no mode {}", mode),
    }
}
