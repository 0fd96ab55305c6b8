//! The servers: our image and nginx, each on the server's core.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::site::{SMALL, Site};
use crate::Failure;
use crate::bench::Bench;
use crate::bench::image::{GUEST_MAC, Image};
use crate::bench::interrupt;
use crate::bench::netns::{Lab, Subnet, command_in};
use crate::bench::peers::SERVER_CPU;
use crate::bench::process::{self, Process};

/// A large site is fetched first.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the image is started.
#[derive(Clone, Copy)]
pub struct Guest {
    /// What the tender is told besides.
    pub tender: &'static [&'static str],
    /// MiB.
    pub memory: u32,
}

/// Who serves.
#[derive(Clone, Copy)]
pub enum Peer {
    /// Our image.
    Image(Guest),
    /// Debian's.
    Nginx,
}

/// A server that answers.
pub struct Server {
    /// Its process.
    pub process: Process,
    /// Where it is.
    pub subnet: Subnet,
    interface: &'static str,
}

/// What a server and its core did meanwhile.
#[derive(Clone, Copy, Default)]
pub struct Clocks {
    /// What the server has used, as [`process`] defines it.
    pub server: Duration,
    /// What its core was used by anybody.
    pub core: Duration,
}

impl Server {
    /// Starts it and waits until it serves.
    pub fn start(peer: Peer, bench: &mut Bench, image: &Image, site: &Site) -> Result<Self, Failure> {
        let (process, subnet, interface) = match peer {
            Peer::Image(guest) => start_image(guest, bench, image, site)?,
            Peer::Nginx => start_nginx(bench, site)?,
        };
        let mut server = Self { process, subnet, interface };
        let url = format!("http://{}/{SMALL}", subnet.server());
        let answered = interrupt::wait_for(PATIENCE, || {
            server.process.check_alive().map_err(|error| format!("{error}: {}", server.process.printed()))?;
            let mut curl = command_in(Lab::CLIENT, None, "curl");
            let curl = curl.args(["--silent", "--fail", "--max-time", "1", "--output", "/dev/null", &url]);
            let status = curl.stderr(Stdio::null()).status();
            Ok(status.is_ok_and(|status| status.success()).then_some(()))
        })?;
        match answered {
            Some(()) => Ok(server),
            None => Err(format!("no answer within {} s: {}", PATIENCE.as_secs(), server.process.printed())),
        }
    }

    /// Its clocks now.
    pub fn clocks(&self) -> Clocks {
        Clocks {
            server: self.process.cpu() + process::softirq_thread(SERVER_CPU),
            core: process::processor(SERVER_CPU),
        }
    }

    /// Ends it, and takes its interface away.
    pub fn stop(self, lab: &Lab) {
        drop(self.process);
        lab.remove_link(self.interface);
    }
}

impl Clocks {
    /// What was used between the two.
    pub fn since(self, before: Self) -> Self {
        Self {
            server: self.server.saturating_sub(before.server),
            core: self.core.saturating_sub(before.core),
        }
    }
}

fn start_image(
    guest: Guest,
    bench: &Bench,
    image: &Image,
    site: &Site,
) -> Result<(Process, Subnet, &'static str), Failure> {
    let (subnet, interface) = (Subnet(0), "web");
    bench.lab.add_tap(interface, subnet)?;
    bench.lab.add_neighbour(interface, subnet, GUEST_MAC)?;
    let identity =
        fs::read(&site.certificate).map_err(|error| format!("{}: {error}", site.certificate.display()))?;
    let words = image.words(guest.memory, interface, subnet);
    let mut command = command_in(Lab::CLIENT, Some(SERVER_CPU), &words[0]);
    command.args(guest.tender).args(&words[1..]);
    command.arg(format!("--remote=git://{}/site#main", subnet.client()));
    command.args(["--access-log=off", "--tls", "--http=serve"]);
    command.arg(format!("--tls-certificate={}", base64(&identity)?));
    let process = Process::start("web", &mut command, &bench.lab.directory.join("web.log"))?;
    Ok((process, subnet, interface))
}

fn start_nginx(bench: &mut Bench, site: &Site) -> Result<(Process, Subnet, &'static str), Failure> {
    let (subnet, interface) = (Subnet(1), "nginx");
    let namespace = bench.lab.add_veth(interface, subnet)?;
    let path = bench.lab.directory.join("nginx.conf");
    let (place, files, pem) =
        (bench.lab.directory.display(), site.files.display(), site.certificate.display());
    // open_file_cache is what its manual advises for static files; without it nginx is slower.
    let text = format!(
        "daemon off; master_process off; worker_processes 1; user root; pid {place}/nginx.pid;
        error_log {place}/nginx.error; events {{ worker_connections 20000; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; types {{ text/html html; }}
            open_file_cache max=100; open_file_cache_valid 60s;
            client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
            uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
            server {{
                listen 80; listen 443 ssl; root {files};
                ssl_certificate {pem}; ssl_certificate_key {pem}; ssl_protocols TLSv1.3;
            }}
        }}"
    );
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut command = command_in(&namespace, Some(SERVER_CPU), "/usr/sbin/nginx");
    command.arg("-c").arg(&path);
    let process = Process::start("nginx", &mut command, &bench.lab.directory.join("nginx.log"))?;
    Ok((process, subnet, interface))
}

fn base64(octets: &[u8]) -> Result<String, Failure> {
    let path = std::env::temp_dir().join("skerry-bench-identity");
    fs::write(&path, octets).map_err(|error| format!("{}: {error}", path.display()))?;
    let output = Command::new("base64").arg("--wrap=0").arg(&path).output();
    let _ = fs::remove_file(&path);
    let output = output.map_err(|error| format!("cannot start base64: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
