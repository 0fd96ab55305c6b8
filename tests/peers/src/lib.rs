//! Other people's DNS servers, started on the loopback interface for tests: NSD, Knot and BIND, as Debian has them.
//!
//! A test says what is to be in the configuration besides [`Kind::server`], which is what all have in common: one worker,
//! an address, and all files in a folder that is gone with the [`Peer`].

mod kind;

pub use kind::Kind;

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server that runs; it ends with this value.
pub struct Peer {
    /// What it is.
    pub kind: Kind,
    /// Where it listens, on UDP and TCP.
    pub address: SocketAddr,
    process: Child,
    folder: PathBuf,
}

impl Peer {
    /// Starts a server that has these files in its folder, and `rest` of this folder in its configuration. An error says what is
    /// missing.
    pub fn start(
        kind: Kind,
        address: SocketAddr,
        files: &[(&str, &str)],
        rest: impl FnOnce(&Path) -> String,
    ) -> Result<Peer, String> {
        let program = find_program(kind.program()).ok_or_else(|| {
            format!("{} is not installed: apt-get install {}", kind.program(), kind.package())
        })?;
        let (process, ip, port) = (std::process::id(), address.ip(), address.port());
        let folder = std::env::temp_dir().join(format!("{}-{process}-{ip}-{port}", kind.package()));
        let cannot = |error: std::io::Error| format!("cannot write to {}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(cannot)?;
        for (name, text) in files {
            fs::write(folder.join(name), text).map_err(cannot)?;
        }
        let configuration = folder.join("configuration");
        fs::write(&configuration, kind.server(&folder, address) + &rest(&folder)).map_err(cannot)?;
        let log = fs::File::create(folder.join("log")).map_err(cannot)?;
        let mut command = Command::new(program);
        command.args(kind.options()).arg(&configuration).stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(cannot)?).stderr(log);
        let process = command.spawn().map_err(|error| format!("cannot start {}: {error}", kind.program()))?;
        Ok(Peer { kind, address, process, folder })
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Replaces files, and the configuration's rest if there is one, and has it read them again.
    pub fn reload(
        &self,
        files: &[(&str, &str)],
        rest: Option<&dyn Fn(&Path) -> String>,
    ) -> Result<(), String> {
        let mut all: Vec<(&str, String)> =
            files.iter().map(|(name, text)| (*name, text.to_string())).collect();
        let server = || self.kind.server(&self.folder, self.address);
        all.extend(rest.map(|rest| ("configuration", server() + &rest(&self.folder))));
        for (name, text) in all {
            let path = self.folder.join(name);
            fs::write(&path, text).map_err(|error| format!("cannot write to {}: {error}", path.display()))?;
        }
        match self.signal("-HUP") {
            true => Ok(()),
            false => Err(format!("{} takes no signal", self.kind.program())),
        }
    }

    fn signal(&self, signal: &str) -> bool {
        let kill = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        kill.is_ok_and(|status| status.success())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // NSD's children end when their parent is asked to; a kill would leave them.
        if !self.signal("-TERM") {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Where a program is, if it is installed.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let others = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(Path::new);
    let folders = path.split(':').map(Path::new).chain(others);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A port that is free on these addresses at the moment of asking, for UDP and TCP.
pub fn free_port(addresses: &[IpAddr]) -> std::io::Result<u16> {
    let mut last = None;
    for _ in 0..100 {
        let port = TcpListener::bind((addresses[0], 0))?.local_addr()?.port();
        let bind = |address: &IpAddr| {
            UdpSocket::bind((*address, port)).and_then(|_| TcpListener::bind((*address, port)))
        };
        match addresses.iter().try_for_each(|address| bind(address).map(drop)) {
            Ok(()) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()))
}
