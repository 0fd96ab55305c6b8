//! Xen at work: started, asked, stopped.

use crate::{dom0, packages};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

/// What dom0 says when it is ready, and when it gives up.
const READY: &str = "@@ dom0 ready";
const FAILED: &str = "@@ dom0 failed";

/// Longest boot. It takes 6 to 10 s on an idle machine.
const BOOT_MAX: Duration = Duration::from_secs(180);

/// Longest answer of dom0's shell: xl gives a script 40 s itself.
const SHELL_MAX: Duration = Duration::from_secs(120);

/// Longest life of one lab in seconds, whatever becomes of who started it.
const LIFE_MAX: &str = "1800";

/// Lines of the console that are shown where the boot fails.
const LINES_SHOWN: usize = 20;

/// The processor. QEMU 7.2 gets SMAP wrong at an IRET between rings 3, which ends dom0; reports RDTSCP's intercept as
/// RDTSC's; and loses AVX state between domains. None of it is needed here.
const PROCESSOR: &str = "max,-smap,-rdtscp,-xsave,-avx,-avx2,-f16c,-fma,-mpx,-pku";

const XEN_ARGUMENTS: &str = "com1=115200,8n1 console=com1 loglvl=info guest_loglvl=info bootscrub=0 \
                             dom0_mem=192M,max:192M dom0_max_vcpus=1 spec-ctrl=no";
const MEMORY: &str = "448M";

/// Where dom0 is asked; `dom0/init` has its address too. A network of its own: a guest may have any address of 10.0.2.0/24, which
/// QEMU and the tender's user-mode network both give.
const CONTROL_NETWORK: &str = "169.254.7.0/24";
const DOM0: &str = "169.254.7.15";

/// A running Xen. It ends with this value, or with the process.
#[derive(Debug)]
pub struct Lab {
    /// A shell that kills QEMU when its standard input ends.
    process: Child,
    control: u16,
    log: PathBuf,
}

/// What a script in dom0 printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// Exit status.
    pub status: i32,
    /// Standard output and standard error.
    pub text: String,
}

impl Lab {
    /// Starts Xen, with everything it is made of in `directory`, and waits until dom0 is ready. What arrives on `wires` (datagram
    /// sockets, a frame each) goes to bridge xenbr0 and xenbr1, and the other way round.
    pub fn start(directory: &Path, wires: [OwnedFd; 2]) -> Result<Self, String> {
        let files = packages::prepare(&directory.join("packages"))?;
        let own = directory.join(std::process::id().to_string());
        fs::create_dir_all(&own).map_err(|error| format!("{}: {error}", own.display()))?;
        let disk = own.join("dom0.cpio");
        fs::write(&disk, dom0::build(&files)?).map_err(|error| format!("{}: {error}", disk.display()))?;
        let control = free_port()?;
        let log = own.join("console.log");
        let mut process = qemu(&files, &disk, control, &wires)
            .spawn()
            .map_err(|error| format!("cannot start QEMU: {error}"))?;
        let console = process.stdout.take().ok_or("QEMU has no console")?;
        let lab = Self { process, control, log };
        let outcome = watch(console, &lab.log)?.recv_timeout(BOOT_MAX);
        let _ = fs::remove_file(disk);
        match outcome {
            Ok(true) => Ok(lab),
            Ok(false) => Err(lab.complaint("Xen ended before dom0 was ready")),
            Err(_) => Err(lab.complaint(&format!("dom0 is not ready after {BOOT_MAX:?}"))),
        }
    }

    /// Runs `script` in dom0, with nothing to read.
    pub fn shell(&self, script: &str) -> Result<Output, String> {
        self.ask(script, b"")
    }

    /// Writes a file of dom0.
    pub fn put(&self, path: &str, content: &[u8]) -> Result<(), String> {
        let output = self.ask(&format!("head -c {} > {path} && wc -c < {path}", content.len()), content)?;
        if output.text.trim() == content.len().to_string() {
            Ok(())
        } else {
            Err(format!("{path} did not arrive in dom0: {}", output.text))
        }
    }

    /// What Xen and dom0 have printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Starts `script` in dom0 and returns what it prints, to be read as it comes; it can write nothing to it.
    pub fn begin(&self, script: &str) -> Result<TcpStream, String> {
        self.send(script, b"")
            .map_err(|error| self.complaint(&format!("dom0 does not take '{script}': {error}")))
    }

    fn ask(&self, script: &str, input: &[u8]) -> Result<Output, String> {
        let fail =
            |error: std::io::Error| self.complaint(&format!("dom0 does not answer '{script}': {error}"));
        let mut stream = self.send(script, input).map_err(fail)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(fail)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (text, status) = answer
            .trim_end()
            .rsplit_once("@@ status ")
            .and_then(|(text, status)| Some((text, status.parse().ok()?)))
            .ok_or_else(|| self.complaint(&format!("dom0's answer to '{script}' has no end: '{answer}'")))?;
        Ok(Output { status, text: text.to_owned() })
    }

    fn send(&self, script: &str, input: &[u8]) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.control))?;
        stream.set_read_timeout(Some(SHELL_MAX))?;
        let line = format!("{}\n", script.replace('\n', "\u{1}"));
        stream.write_all(line.as_bytes())?;
        stream.write_all(input)?;
        stream.shutdown(Shutdown::Write)?;
        Ok(stream)
    }

    /// A failure, with the end of what was printed.
    fn complaint(&self, what: &str) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
        format!("Xen lab: {what}; {} ends with:\n{}", self.log.display(), last.join("\n"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The command that runs Xen until its standard input ends.
fn qemu(files: &packages::Files, disk: &Path, control: u16, wires: &[OwnedFd; 2]) -> Command {
    let mut command = Command::new("sh");
    let guard = "\"$@\" < /dev/null & cat > /dev/null; kill $! 2> /dev/null; wait";
    command.args(["-c", guard, "sh", "timeout", "--kill-after=5", LIFE_MAX]);
    command.args([
        "qemu-system-x86_64",
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        PROCESSOR,
        "-smp",
        "1",
        "-m",
        MEMORY,
    ]);
    command.args("-display none -monitor none -serial stdio -no-reboot -nodefaults".split(' '));
    command.arg("-kernel").arg(&files.xen).args(["-append", XEN_ARGUMENTS]);
    command.arg("-initrd").arg(format!(
        "{} console=hvc0 loglevel=4 mitigations=off,{}",
        files.kernel.display(),
        disk.display()
    ));
    let forward = format!(
        "user,id=control,net={CONTROL_NETWORK},restrict=on,hostfwd=tcp:127.0.0.1:{control}-{DOM0}:7000"
    );
    command.args(["-netdev", &forward, "-device", "e1000,netdev=control"]);
    for (number, wire) in wires.iter().enumerate() {
        let socket = format!("dgram,id=wire{number},local.type=fd,local.str={}", wire.as_raw_fd());
        command.args(["-netdev", &socket, "-device", &format!("e1000,netdev=wire{number}")]);
        // QEMU inherits it.
        let _ = rustix::io::fcntl_setfd(wire, rustix::io::FdFlags::empty());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// A port of the loopback interface that nobody uses now.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("127.0.0.1 has no free port: {error}"))
}

/// Keeps what is printed in `log`, and says whether dom0 got ready.
fn watch(console: ChildStdout, log: &Path) -> Result<Receiver<bool>, String> {
    let mut log = fs::File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let (said, heard) = mpsc::channel();
    thread::spawn(move || {
        let mut console = BufReader::new(console);
        let mut line = Vec::new();
        while console.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line);
            let outcome = text.contains(READY).then_some(true).or(text.contains(FAILED).then_some(false));
            let _ = log.write_all(&line);
            // Whoever waited has heard the first.
            outcome.map(|outcome| said.send(outcome));
            line.clear();
        }
        let _ = said.send(false);
    });
    Ok(heard)
}
