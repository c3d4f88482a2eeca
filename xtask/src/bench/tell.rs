//! The table.

use std::time::Duration;

use super::Reader;
use super::idle::Idle;
use super::probe::Cost;
use super::push::Pusher;
use super::webhooks::{CONNECTIONS, Load, Loads, Receiver};

pub(super) fn head() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{cores} processor cores; of {} runs, the one with the median processor time",
        super::RUNS
    );
    println!("processor time: user and system of the reading process alone; the store is another one\n");
}

pub(super) fn table(orders: usize, costs: &[(Reader, Vec<Cost>)]) {
    let costs: Vec<(Reader, Cost)> = costs
        .iter()
        .filter_map(|(reader, costs)| Some((*reader, median(costs)?)))
        .collect();
    let of = |wanted: Reader| costs.iter().find(|(reader, _)| *reader == wanted).map(|(_, cost)| cost);
    println!("{orders} orders");
    println!("| | µs an order | user | system | of serde_json | of the bare reader | peak MiB | wall s |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (reader, cost) in &costs {
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            reader.name(),
            tenths(each(cost.processor(), orders)),
            tenths(each(cost.user, orders)),
            tenths(each(cost.system, orders)),
            ratio(cost, of(Reader::Parser)),
            ratio(cost, of(Reader::Bare)),
            tenths(u128::from(cost.peak_kib) * 10 / 1024),
            tenths(cost.wall.as_millis() / 100),
        );
    }
    println!();
}

pub(super) fn idle(told: &[Idle; 2]) {
    for (idle, when) in told.iter().zip(["after that history", "after a restart"]) {
        println!(
            "idle daemon {when}: {} MiB resident, {}0 ms of processor time in {} s",
            tenths(u128::from(idle.resident_kib) * 10 / 1024),
            idle.ticks,
            idle.watched.as_secs()
        );
    }
    println!();
}

/// The run with the median processor time of each.
pub(super) fn pushes(orders: usize, concurrency: usize, costs: &[(Pusher, Vec<Cost>)]) {
    let costs = costs
        .iter()
        .filter_map(|(pusher, costs)| Some((*pusher, median(costs)?)));
    let costs: Vec<(Pusher, Cost)> = costs.collect();
    let bare = costs.iter().find(|(pusher, _)| *pusher == Pusher::Bare);
    let bare = bare.map(|(_, cost)| cost);
    println!("{orders} orders to an ERP, {concurrency} calls at once");
    println!("| | orders/s | of the bare loop | µs an order | of the bare loop | peak MiB |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (pusher, cost) in &costs {
        let rate = |cost: &Cost| orders as u128 * 1_000_000 / cost.wall.as_micros().max(1);
        let of_bare = rate(cost) * 100 / bare.map_or(1, |bare| rate(bare).max(1));
        println!(
            "| {} | {} | {} % | {} | {} | {} |",
            pusher.name(),
            rate(cost),
            of_bare,
            tenths(each(cost.processor(), orders)),
            ratio(cost, bare),
            tenths(u128::from(cost.peak_kib) * 10 / 1024),
        );
    }
    println!();
}

/// Of each receiver the run with the median processor time, for each number of connections.
pub(super) fn webhooks(events: usize, loads: &Loads, syncs: &mut [Duration]) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{events} events a load; {cores} processor cores, shared with the caller; of {} loads, the one with the median \
         processor time",
        super::RUNS
    );
    syncs.sort_unstable();
    let sync = |percent: usize| syncs.get(syncs.len() * percent / 100).map_or(0, Duration::as_micros);
    println!(
        "the disk: fdatasync of 4 KiB takes {} µs, 1 of 100 more than {} µs\n",
        sync(50),
        sync(99)
    );
    println!("| receiver | connections | events/s | p50 µs | p99 µs | slowest µs | processor µs an event | of bare |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for connections in CONNECTIONS {
        let own = loads.iter().filter(|(_, known, _)| *known == connections);
        let own: Vec<(Receiver, Load)> = own
            .filter_map(|(receiver, _, loads)| Some((*receiver, median_load(loads)?)))
            .collect();
        let bare = own.iter().find(|(receiver, _)| *receiver == Receiver::Bare);
        let bare = bare.map_or(1, |(_, load)| load.each.max(1));
        for (receiver, load) in own {
            println!(
                "| {} | {connections} | {} | {} | {} | {} | {} | {} |",
                receiver.name(),
                load.rate,
                load.half,
                load.most,
                load.all,
                tenths(u128::from(load.each)),
                hundredths(load.each * 100 / bare),
            );
        }
    }
    println!();
}

pub(super) fn flood(seconds: u64, [good, half, most, all, refused, held]: &[u64; 6]) {
    println!(
        "for {seconds} s, {} forged calls a second on 50 connections (all refused), 1,000 connections opened that say nothing \
         ({held} of them still open at the end), and beside them {good} good calls, each on a new connection and each taken: \
         p50 {half} µs, p99 {most} µs, slowest {all} µs\n",
        refused / seconds
    );
}

fn median_load(loads: &[Load]) -> Option<Load> {
    let mut loads = loads.to_vec();
    loads.sort_by_key(|load| load.each);
    loads.get(loads.len() / 2).copied()
}

fn hundredths(number: u64) -> String {
    format!("{}.{:02}", number / 100, number % 100)
}

/// Tenths of a microsecond.
fn each(time: Duration, orders: usize) -> u128 {
    time.as_nanos() / 100 / orders.max(1) as u128
}

fn ratio(cost: &Cost, least: Option<&Cost>) -> String {
    let least = least.map_or(1, |least| least.processor().as_micros().max(1));
    tenths(cost.processor().as_micros() * 10 / least)
}

fn tenths(number: u128) -> String {
    format!("{}.{}", number / 10, number % 10)
}

fn median(costs: &[Cost]) -> Option<Cost> {
    let mut costs = costs.to_vec();
    costs.sort_by_key(Cost::processor);
    costs.get(costs.len() / 2).copied()
}
