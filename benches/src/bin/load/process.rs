//! What a process has used so far, from `/proc`.

use std::fs;

use anyhow::Context;

/// A process's processor time and memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time of all its threads, in seconds.
    pub(crate) cpu: f64,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
}

impl Usage {
    /// Of these processes together.
    pub(crate) fn of(pids: &[u32]) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let usage = read(&pid.to_string()).with_context(|| format!("process {pid} cannot be read"))?;
            sum.cpu += usage.cpu;
            sum.resident += usage.resident;
        }
        Ok(sum)
    }

    /// Of this program.
    pub(crate) fn own() -> anyhow::Result<Self> {
        read("self")
    }
}

fn read(pid: &str) -> anyhow::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name before the last parenthesis may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("a malformed stat file")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |index: usize| -> anyhow::Result<u64> {
        Ok(fields.get(index).context("a short stat file")?.parse()?)
    };
    // Counted from the state, which is field 3 of proc(5): utime is 14, stime 15, rss 24.
    let ticks = number(11)? + number(12)?;
    let resident = number(21)? * rustix::param::page_size() as u64;
    Ok(Usage { cpu: ticks as f64 / rustix::param::clock_ticks_per_second() as f64, resident })
}
