//! Boots an image in the lab as a domain of Xen, publishes its first interface on this host, and shows its console to its end.
//!
//!     cargo run -p xen-lab --example run -- ELF CONFIGURATION [--publish=ADDR:PORT:GUESTPORT[/udp|/tcp]]... [--outbound]
//!
//! What is published, and what goes out, goes the way it goes for an image under the tender: through the tender's user-mode network, whose wire
//! is bridge xenbr0 of dom0 here.

use skerry_tender::{
    args::{Command, parse},
    network::user::{self, Gateway, Outbound},
};
use std::{
    ffi::OsString,
    fs,
    io::{self, Read, Write},
    path::Path,
    time::Instant,
};

/// Ends the script in dom0 that shows the console when the domain is gone.
const SHOW: &str = "tail -n +1 -f /var/log/xen/console/guest-$name.log & \
                    while xl domid $name >/dev/null 2>&1; do sleep 1; done; sleep 1; kill $!";

fn main() -> Result<(), String> {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.len() < 2 {
        return Err("it takes an ELF file, a configuration for xl, and what to publish".into());
    }
    let rules = arguments.split_off(2);
    let [elf, configuration] = [0, 1].map(|index| Path::new(&arguments[index]));
    let gateway_end = publish(rules)?;
    let (_management, management) = user::pair().map_err(|error| error.to_string())?;
    let start = Instant::now();
    eprintln!("xen-lab: Xen and dom0 start in QEMU's emulation");
    let lab = xen_lab::Lab::start(Path::new("target/xen-lab"), [gateway_end, management])?;
    eprintln!("xen-lab: dom0 is ready after {} s", start.elapsed().as_secs());
    for path in [elf, configuration] {
        let content = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        lab.put(&format!("/lab/{}", name(path)), &content)?;
    }
    let created = lab.shell(&format!("cd /lab && xl create {}", name(configuration)))?;
    if created.status != 0 {
        return Err(format!("xl: {}", created.text));
    }
    let domain = name(elf).split('.').next().unwrap_or_default().to_owned();
    let mut console = lab.begin(&SHOW.replace("$name", &domain))?;
    // Its silence may last: nothing is said while queries are answered.
    console.set_read_timeout(None).map_err(|error| error.to_string())?;
    let mut piece = [0; 1024];
    loop {
        let count = console.read(&mut piece).map_err(|error| error.to_string())?;
        if count == 0 {
            return Ok(());
        }
        let mut out = io::stdout();
        out.write_all(&piece[..count]).and_then(|()| out.flush()).map_err(|error| error.to_string())?;
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Binds what is published and serves it from a thread; the other end of its wire.
fn publish(rules: Vec<OsString>) -> Result<std::os::fd::OwnedFd, String> {
    let options = match parse(rules.into_iter().chain(["image".into()])) {
        Ok(Command::Run(options)) => options,
        Ok(_) => return Err("only --publish and --outbound may follow the configuration".into()),
        Err(failure) => return Err(failure.to_string()),
    };
    let forwards = user::bind(&options.published).map_err(|failure| failure.to_string())?;
    let (ours, theirs) = user::pair().map_err(|error| error.to_string())?;
    // Whoever inherits it sends and receives whole frames, and waits for none.
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).map_err(|error| error.to_string())?;
    let mut gateway = Gateway::new(ours, forwards).map_err(|error| error.to_string())?;
    if options.outbound {
        gateway.allow(Outbound::of_this_host());
    }
    std::thread::spawn(move || {
        if let Err(error) = gateway.run() {
            eprintln!("xen-lab: user-mode network: {error}");
        }
    });
    Ok(theirs)
}
