//! One conversation with a service of git: opened, greeted, and then request and answer in turn.

use super::{
    Remote,
    advertisement::{Advertisement, Service},
    http::Exchange,
    limits::OPEN_SECONDS,
    location::{Location, Scheme},
    packets::{Packets, Plain},
    pkt_line::{Message, Packet},
    problem::Problem,
    references::References,
    ssh,
};
use runtime::connect::Connect;
use std::{future::Future, time::Duration};
use tokio::time::timeout;

/// A conversation whose beginning is over.
pub struct Session<C: Connect> {
    service: Service,
    packets: Packets,
    http: Option<Exchange<C>>,
    /// What the server said first.
    pub server: Advertisement,
}

impl<C: Connect> Session<C> {
    /// Connects to a service; of references that come at once, the one for `branch` is looked for.
    pub async fn open(remote: &Remote<C>, service: Service, branch: Option<&str>) -> Result<Self, Problem> {
        limited("connecting", OPEN_SECONDS, async {
            let (mut packets, http) = connect(remote, service).await?;
            let mut server = Advertisement::new(References::looking_for(branch));
            while !server.handle(packets.next().await?)? {}
            server.check(service)?;
            Ok(Self { service, packets, http, server })
        })
        .await
    }

    /// Sends a request; its answer is what [`next`](Self::next) gives.
    pub async fn request(&mut self, message: Vec<u8>) -> Result<(), Problem> {
        match &self.http {
            Some(http) => self.packets = http.post(self.service, message).await?,
            None => self.packets.send(message),
        }
        Ok(())
    }

    /// The next packet of the answer.
    pub async fn next(&mut self) -> Result<Packet<'_>, Problem> {
        self.packets.next().await
    }

    /// Ends the conversation where the server waits for more requests, so that it logs no error.
    pub async fn close(mut self) {
        if self.http.is_none() {
            let mut message = Message::new();
            message.flush();
            self.packets.send(message.into_bytes());
            // Nothing depends on it.
            let _ = self.packets.finish_sending().await;
        }
    }
}

async fn connect<C: Connect>(
    remote: &Remote<C>,
    service: Service,
) -> Result<(Packets, Option<Exchange<C>>), Problem> {
    let location = &remote.location;
    match location.scheme {
        Scheme::Git => {
            let stream =
                remote.connector.connect(&location.host, location.port).await.map_err(Problem::Connect)?;
            let mut packets = Packets::new(Plain(stream));
            packets.send(daemon_request(location, service));
            Ok((packets, None))
        }
        Scheme::Http | Scheme::Https => {
            let (http, packets) = Exchange::open(remote.http.clone(), location, service).await?;
            Ok((packets, Some(http)))
        }
        Scheme::Ssh => {
            let command = ssh_command(location, service);
            let identity = remote.identity.as_deref();
            let version2 = service == Service::UploadPack;
            let host_key = remote.host_key.as_ref();
            let client = ssh::Client { location, identity, host_key, rekey_bytes: ssh::limits::REKEY_BYTES };
            let stream = client.open(&remote.connector, &command, version2);
            Ok((Packets::new(stream.await?), None))
        }
    }
}

/// What git daemon is asked for (gitprotocol-pack, "Git Transport"): a service, a path, and the protocol's version if it
/// is new enough to know versions. Pushes know none.
fn daemon_request(location: &Location, service: Service) -> Vec<u8> {
    let version = if service == Service::UploadPack { "\0version=2\0" } else { "" };
    let line = format!("{} {}\0host={}\0{version}", service.name(), location.path, location.authority());
    let mut message = Message::new();
    message.data(line.as_bytes());
    message.into_bytes()
}

/// What an ssh server is asked to run (gitprotocol-pack, "SSH Transport"): the path is quoted as for a shell, by which most
/// servers run it.
fn ssh_command(location: &Location, service: Service) -> String {
    format!("{} '{}'", service.name(), location.path.replace('\'', "'\\''").replace('!', "'\\!'"))
}

/// Runs something that may take so long and no longer.
pub async fn limited<T>(
    what: &'static str,
    seconds: u64,
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    timeout(Duration::from_secs(seconds), work).await.unwrap_or(Err(Problem::Slow { what, seconds }))
}
