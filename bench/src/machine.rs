//! What the system tells about a process and about itself: processor time, memory, load, limits.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

/// Nanoseconds since this program began: what a message carries to tell how long it took.
pub fn nanos() -> u64 {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    BEGUN.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Lifts the soft limit of open files to the hard one; children inherit it.
pub fn raise_open_files() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("cannot raise the limit of open files")
}

/// How many files this process may have open.
pub fn open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// User and system time that some processes have used so far.
pub fn cpu(pids: &[u32]) -> Duration {
    let ticks: u64 = pids.iter().filter_map(|pid| ticks(&format!("/proc/{pid}/stat"))).sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn ticks(path: &str) -> Option<u64> {
    let stat = fs::read_to_string(path).ok()?;
    // The name of the program, in brackets, may hold spaces.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Processor time of the calling thread, if it is the first of its process. Exact to some milliseconds, so it is for sums.
pub fn cpu_of_main_thread() -> Duration {
    let stat = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = stat.split_whitespace().next().and_then(|nanos| nanos.parse::<u64>().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// User and system time of this process and of the children that it has waited for.
pub fn cpu_of_all() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let ticks: u64 = fields.take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident memory of some processes in KiB.
pub fn resident_kib(pids: &[u32]) -> u64 {
    let of = |pid: &u32| -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
    };
    pids.iter().filter_map(of).sum()
}

/// The most memory that a process has had resident, in KiB; 0 when it is not there any more.
pub fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    peak.and_then(|p| p.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A process and its children, which is where a server with workers does its work.
pub fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut all = vec![pid];
    all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    all
}

/// Processor time of the whole machine so far.
pub fn busy() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // user nice system idle iowait irq softirq steal
    let busy: u64 = fields
        .take(8)
        .enumerate()
        .filter(|(i, _)| *i != 3 && *i != 4)
        .filter_map(|(_, v)| v.parse::<u64>().ok())
        .sum();
    Duration::from_secs_f64(busy as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The machine, for the head of a report.
pub fn describe() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map(|l| l.trim_start_matches(['\t', ' ', ':']));
    let memory = read("/proc/meminfo");
    let memory =
        memory.lines().next().and_then(|l| l.split_whitespace().nth(1)).and_then(|v| v.parse::<u64>().ok());
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "processor": model.unwrap_or("unknown"),
        "memory_mib": memory.unwrap_or(0) >> 10,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_at_start": read("/proc/loadavg").split_whitespace().next().unwrap_or_default(),
    })
}
