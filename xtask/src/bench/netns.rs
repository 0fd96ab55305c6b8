//! Network namespaces of the bench: one for the client, one for each server that needs sockets.
//!
//! Nothing leaves them: there is no route out. What an earlier run left behind is removed first, so that a run
//! that was killed costs the next one nothing.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::interrupt;
use crate::Failure;

/// Every namespace of a bench begins with this.
const PREFIX: &str = "skerry-bench";

/// The namespaces, and a directory for files; all gone when dropped.
pub struct Lab {
    /// Where configurations, zones and images of this run are.
    pub directory: PathBuf,
    namespaces: Vec<String>,
    _priority: Priority,
    _lock: File,
}

impl Lab {
    /// Makes the client's namespace. One bench runs on a machine at a time.
    pub fn create() -> Result<Self, Failure> {
        let root = std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
        if !root {
            return Err("bench needs root: it makes network namespaces and TAPs. Try with sudo.".into());
        }
        let lock_path = std::env::temp_dir().join("skerry-bench.lock");
        let lock = File::create(&lock_path).map_err(|error| format!("{}: {error}", lock_path.display()))?;
        lock.try_lock().map_err(|_| "another bench is running on this machine")?;
        remove_stale()?;
        let directory = std::env::temp_dir().join("skerry-bench");
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let mut lab = Self { directory, namespaces: Vec::new(), _priority: Priority::raise(), _lock: lock };
        lab.add_namespace(Self::CLIENT)?;
        Ok(lab)
    }

    /// The namespace that load programs run in and TAPs are in.
    pub const CLIENT: &str = "skerry-bench";

    fn add_namespace(&mut self, name: &str) -> Result<(), Failure> {
        if self.namespaces.iter().any(|known| known == name) {
            return Ok(());
        }
        ip(&["netns", "add", name])?;
        self.namespaces.push(name.to_owned());
        // Router solicitations and their like would be counted as somebody's work.
        for scope in ["all", "default"] {
            let key = format!("net.ipv6.conf.{scope}.disable_ipv6=1");
            succeed(Command::new("ip").args(["netns", "exec", name, "sysctl", "-q", "-w", &key]))?;
        }
        ip(&["-n", name, "link", "set", "lo", "up"])
    }

    /// A TAP in the client's namespace that a server attaches to.
    pub fn add_tap(&self, name: &str, subnet: Subnet) -> Result<(), Failure> {
        // What a row that failed has left.
        self.remove_link(name);
        ip(&["-n", Self::CLIENT, "tuntap", "add", name, "mode", "tap"])?;
        self.bring_up(name, subnet)
    }

    /// Gives the client its address on `interface`, which a server has just made, and brings it up.
    pub fn bring_up(&self, interface: &str, subnet: Subnet) -> Result<(), Failure> {
        let exists = || Ok(ip(&["-n", Self::CLIENT, "link", "show", interface]).ok());
        interrupt::wait_for(Duration::from_secs(5), exists)?
            .ok_or_else(|| format!("the interface {interface} did not appear"))?;
        ip(&["-n", Self::CLIENT, "address", "add", &format!("{}/24", subnet.client()), "dev", interface])?;
        ip(&["-n", Self::CLIENT, "link", "set", interface, "up"])
    }

    /// Tells the client the server's Ethernet address: a resolution that fails is repeated after a second only.
    pub fn add_neighbour(&self, interface: &str, subnet: Subnet, address: &str) -> Result<(), Failure> {
        let neighbour = ["-n", Self::CLIENT, "neighbour", "replace", &subnet.server(), "lladdr", address];
        ip(&[&neighbour[..], &["nud", "permanent", "dev", interface]].concat())
    }

    /// Removes an interface of the client's; that of a server that has gone may be gone with it.
    pub fn remove_link(&self, interface: &str) {
        let _ = ip(&["-n", Self::CLIENT, "link", "delete", interface]);
    }

    /// A namespace for a server with sockets, joined to the client's by a veth pair; returns its name.
    pub fn add_veth(&mut self, name: &str, subnet: Subnet) -> Result<String, Failure> {
        let namespace = format!("{PREFIX}-{name}");
        self.add_namespace(&namespace)?;
        self.remove_link(name);
        let peer = format!("{name}-server");
        let pair = ["link", "add", name, "netns", Self::CLIENT, "type", "veth", "peer", "name", &peer];
        ip(&[&pair[..], &["netns", &namespace]].concat())?;
        // The generator's datagrams cross one by one, as from another machine.
        ip(&["-n", Self::CLIENT, "link", "set", name, "gso_max_segs", "1"])?;
        ip(&["-n", &namespace, "address", "add", &format!("{}/24", subnet.server()), "dev", &peer])?;
        ip(&["-n", &namespace, "link", "set", &peer, "up"])?;
        self.bring_up(name, subnet)?;
        Ok(namespace)
    }

    /// Frames that `interface` of the client's has carried, both ways together.
    pub fn frames(&self, interface: &str) -> Result<u64, Failure> {
        let mut total = 0;
        for direction in ["rx_packets", "tx_packets"] {
            let path = format!("/sys/class/net/{interface}/statistics/{direction}");
            let output = Command::new("ip")
                .args(["netns", "exec", Self::CLIENT, "cat", &path])
                .output()
                .map_err(|error| format!("cannot start ip: {error}"))?;
            let text = String::from_utf8_lossy(&output.stdout);
            total += text.trim().parse::<u64>().map_err(|_| format!("cannot read {path}"))?;
        }
        Ok(total)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in self.namespaces.drain(..) {
            let _ = ip(&["netns", "delete", &namespace]);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Where sched(7) groups the processes of a session, priorities count inside of the group only; the group has its own.
struct Priority;

impl Priority {
    const FILE: &str = "/proc/self/autogroup";

    /// For as long as this lives.
    fn raise() -> Self {
        let _ = std::fs::write(Self::FILE, "-20");
        Self
    }
}

impl Drop for Priority {
    fn drop(&mut self) {
        let _ = std::fs::write(Self::FILE, "0");
    }
}

/// A /24 of the bench's own: .1 is the client, .2 the server.
#[derive(Clone, Copy)]
pub struct Subnet(pub u8);

impl Subnet {
    /// The client's address.
    pub fn client(self) -> String {
        format!("10.0.{}.1", self.0)
    }

    /// The server's address.
    pub fn server(self) -> String {
        format!("10.0.{}.2", self.0)
    }
}

/// A command that runs in `namespace`, on processor `cpu` if one is given. All that is measured runs at the highest
/// priority, so that what else the machine does disturbs it less.
pub fn command_in(namespace: &str, cpu: Option<usize>, program: &str) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "-20", "ip", "netns", "exec", namespace]);
    if let Some(cpu) = cpu {
        command.args(["taskset", "-c", &cpu.to_string()]);
    }
    command.arg(program).stdin(Stdio::null());
    command
}

/// Namespaces with our prefix, and what still runs in them: a bench that was killed left them.
fn remove_stale() -> Result<(), Failure> {
    let list = Command::new("ip")
        .args(["netns", "list"])
        .output()
        .map_err(|error| format!("cannot start ip: {error}. It is in Debian's package iproute2."))?;
    for line in String::from_utf8_lossy(&list.stdout).lines() {
        let Some(name) = line.split_whitespace().next().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        let pids = Command::new("ip").args(["netns", "pids", name]).output();
        for pid in pids.iter().flat_map(|output| output.stdout.split(u8::is_ascii_whitespace)) {
            let pid = String::from_utf8_lossy(pid);
            if !pid.is_empty() {
                let _ = Command::new("kill").args(["-9", &pid]).status();
            }
        }
        ip(&["netns", "delete", name])?;
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<(), Failure> {
    succeed(Command::new("ip").args(arguments))
}

fn succeed(command: &mut Command) -> Result<(), Failure> {
    let output = command.output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
