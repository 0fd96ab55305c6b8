//! Servers as processes: started, watched, ended, and their clocks read from /proc.
//!
//! What counts as a server's CPU is the same for every row: the time on a processor of all its threads and of all
//! its children (`/proc/PID/task/TID/schedstat`, nanoseconds), plus that of the kernel's softirq thread of the
//! server's processor. Softirq work that runs on top of a thread is charged by the kernel to that thread; on the
//! client's processor, to the client. So a packet through a veth pair is received at the client's expense,
//! which flatters the servers behind one. [`processor`] is the cross-check: whatever the server's processor did,
//! for whomever. On a machine that does nothing else the two agree.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Failure;

/// A running server; killed when dropped, and its children with it.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; its standard error goes to the user, its output to `log`.
    pub fn start(name: &'static str, command: &mut Command, log: &PathBuf) -> Result<Self, Failure> {
        let file = fs::File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
        let child = command
            .stdout(file)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error} ({command:?})"))?;
        Ok(Self { name, child, log: log.clone() })
    }

    /// An error once the server has ended.
    pub fn check_alive(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("{} has ended: {status}", self.name)),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The server's main process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Time on a processor of all threads of the server and its children.
    pub fn cpu(&self) -> Duration {
        family(self.child.id()).into_iter().map(cpu_of).sum()
    }

    /// Time that threads of the server were ready to run and another had the processor.
    pub fn waited(&self) -> Duration {
        family(self.child.id()).into_iter().map(|pid| schedule_of(pid, 1)).sum()
    }

    /// Times a thread of the server has left the processor, voluntarily or not.
    pub fn context_switches(&self) -> u64 {
        let status = family(self.child.id()).into_iter().flat_map(|pid| tasks(pid, "status"));
        status
            .flat_map(|text| {
                let counts: Vec<u64> = text
                    .lines()
                    .filter(|line| line.contains("ctxt_switches"))
                    .filter_map(|line| line.split_whitespace().nth(1)?.parse().ok())
                    .collect();
                counts
            })
            .sum()
    }

    /// Resident bytes of the server and its children.
    pub fn resident(&self) -> u64 {
        family(self.child.id()).into_iter().map(resident_of).sum()
    }

    /// Bytes that were resident at most.
    pub fn peak(&self) -> u64 {
        let pids = family(self.child.id()).into_iter();
        pids.map(|pid| kilobytes(&read(pid, "status"), "VmHWM:").unwrap_or(0) * 1024).sum()
    }
}

impl Process {
    /// Resident bytes of the server and its children, where pages that others have too count in part (proc_pid_smaps(5)).
    pub fn proportional(&self) -> u64 {
        let maps = family(self.child.id()).into_iter().map(|pid| read(pid, "smaps_rollup"));
        maps.map(|text| kilobytes(&text, "Pss:").unwrap_or(0) * 1024).sum()
    }

    /// Resident bytes of the mappings that are `size` bytes long.
    pub fn mapping(&self, size: u64) -> u64 {
        let maps = read(self.child.id(), "smaps");
        let mappings = maps.split("\nSize:").skip(1).map(|mapping| format!("Size:{mapping}"));
        let right = mappings.filter(|mapping| kilobytes(mapping, "Size:") == Some(size / 1024));
        right.filter_map(|mapping| kilobytes(&mapping, "Rss:")).sum::<u64>() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Parents first: a server that sees a child of its go starts another.
        let members: Vec<String> = family(self.child.id()).iter().map(u32::to_string).collect();
        let _ = Command::new("kill").arg("-9").args(members).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// Time on a processor of the softirq thread of processor `cpu`.
pub fn softirq_thread(cpu: usize) -> Duration {
    let wanted = format!("ksoftirqd/{cpu}\n");
    pids()
        .find(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == wanted))
        .map_or(Duration::ZERO, cpu_of)
}

/// Time that processor `cpu` was not idle, whoever used it (proc_stat(5), in ticks of 10 ms).
pub fn processor(cpu: usize) -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let name = format!("cpu{cpu}");
    let fields = |line: &str| -> Vec<u64> {
        line.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect()
    };
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(&*name));
    // user, nice, system, idle, iowait, irq, softirq; what follows is stolen, or counted before.
    let ticks: u64 = match line.map(fields).as_deref() {
        Some([user, nice, system, _, _, irq, softirq, ..]) => user + nice + system + irq + softirq,
        _ => 0,
    };
    Duration::from_millis(ticks * 10)
}

/// The three load averages, as the kernel prints them.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// `root` and its descendants, parents before children.
fn family(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = pids().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut members = vec![root];
    let mut next = 0;
    while let Some(&member) = members.get(next) {
        members.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(pid, _)| *pid));
        next += 1;
    }
    members
}

fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// proc_pid_stat(5): the second field, in parentheses, may hold anything.
fn parent_of(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn tasks(pid: u32, file: &str) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_to_string(entry.path().join(file)).ok()).collect()
}

fn cpu_of(pid: u32) -> Duration {
    schedule_of(pid, 0)
}

/// Time in a field of `schedstat`: 0 running, 1 waiting for a processor.
fn schedule_of(pid: u32, field: usize) -> Duration {
    let time = |text: &String| text.split_whitespace().nth(field)?.parse::<u64>().ok();
    Duration::from_nanos(tasks(pid, "schedstat").iter().filter_map(time).sum())
}

fn resident_of(pid: u32) -> u64 {
    kilobytes(&read(pid, "status"), "VmRSS:").unwrap_or(0) * 1024
}

fn read(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

/// The number of the first line that begins with `key`.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_process_has_clocks_and_is_gone_when_dropped() {
        let log = std::env::temp_dir().join(format!("skerry-bench-test-{}", std::process::id()));
        let script = "sh -c 'while :; do :; done' & while :; do :; done";
        let mut process = Process::start("sh", Command::new("sh").args(["-c", script]), &log).unwrap();
        thread::sleep(Duration::from_millis(200));
        process.check_alive().unwrap();
        let members = family(process.pid());
        assert_eq!(members.len(), 2, "the shell and its child");
        assert!(process.cpu() > Duration::from_millis(20), "{:?}", process.cpu());
        assert!(process.resident() > 100_000, "{}", process.resident());
        assert!((1..=process.resident()).contains(&process.proportional()), "{}", process.proportional());
        drop(process);
        // Whoever inherits a killed child takes a moment to notice.
        let gone = || members.iter().all(|pid| parent_of(*pid).is_none());
        assert!(
            (0..200).any(|_| gone() || (thread::sleep(Duration::from_millis(10)), false).1),
            "a child is left"
        );
        fs::remove_file(log).unwrap();
    }
}
