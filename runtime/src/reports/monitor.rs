//! `--monitor`: measurements every ten seconds, as influx lines over TCP.

use crate::{
    configuration::{Argument, FromConfiguration},
    connect::{Connect, NetworkConnector},
    limits::{MONITOR_PATIENCE_SECONDS, MONITOR_SECONDS},
    log::host_and_port,
    metrics::{self, influx},
};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    select,
    time::{Instant, sleep_until, timeout},
};

/// `--monitor`
pub(super) const MONITOR: Argument = Argument {
    name: "monitor",
    value: "HOST[:PORT]",
    help: "database that gets measurements every 10 s, as influx lines over TCP; port 8094 if not given",
};

/// The port that Telegraf and its like listen on.
const PORT: u16 = 8_094;

/// Where measurements go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Monitor {
    host: String,
    port: u16,
}

impl FromConfiguration for Monitor {
    fn parse(text: &str) -> Result<Self, &'static str> {
        host_and_port(text, PORT).map(|(host, port)| Self { host, port })
    }
}

/// Sends, for ever. The database may come and go: what it misses was true at another time.
pub(super) async fn run(connector: NetworkConnector, monitor: Monitor, vm: String) {
    let mut said = None;
    let mut next = Instant::now();
    loop {
        let outcome = match connector.connect(&monitor.host, monitor.port).await {
            Ok(mut stream) => {
                if said.take().is_some() {
                    log::info!("{} port {} takes measurements again", monitor.host, monitor.port);
                }
                send(&mut stream, &vm, &mut next).await
            }
            Err(error) => Err(error),
        };
        let Err(error) = outcome else { continue };
        let error = error.to_string();
        if said.as_ref() != Some(&error) {
            log::warn!("no measurements for {} port {}: {error}", monitor.host, monitor.port);
            said = Some(error);
        }
        next = next.max(Instant::now()) + Duration::from_secs(MONITOR_SECONDS);
        sleep_until(next).await;
    }
}

/// Sends at each `next`, until the connection breaks.
async fn send(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    vm: &str,
    next: &mut Instant,
) -> io::Result<()> {
    let (mut text, mut unwanted) = (String::new(), [0; 64]);
    loop {
        select! {
            read = stream.read(&mut unwanted) => match read? {
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has closed the connection")),
                _ => continue,
            },
            () = sleep_until(*next) => {}
        }
        *next += Duration::from_secs(MONITOR_SECONDS);
        if *next <= Instant::now() {
            *next = Instant::now() + Duration::from_secs(MONITOR_SECONDS); // what was missed is not made up for
        }
        text.clear();
        gather(&mut text, vm);
        let write = async {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await
        };
        timeout(Duration::from_secs(MONITOR_PATIENCE_SECONDS), write)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it takes nothing"))??;
    }
}

fn gather(text: &mut String, vm: &str) {
    let wall = platform::clock::wall();
    let mut lines = influx::Lines::new(text, vm, (wall > 0).then_some(wall));
    metrics::collect(&mut lines);
    lines.finish();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{
        TcpListener, TcpOptions,
        testing::{Faults, SERVER, run as on_wire},
    };

    #[test]
    fn measurements_come_every_ten_seconds_and_again_after_an_outage() {
        on_wire(1, Faults::default(), async |pair| {
            metrics::source("test", |samples| samples.gauge("answer", "What else.", 42));
            let connector = NetworkConnector::new(&pair.client, TcpOptions::default());
            let monitor = Monitor { host: SERVER.to_string(), port: PORT };
            crate::spawn(run(connector, monitor, "ns1".into()));
            for connection in 0..3 {
                let listener = TcpListener::bind(&pair.server, PORT, TcpOptions::default()).unwrap();
                let (mut stream, _) = listener.accept().await;
                let mut last = None;
                for _ in 0..3 {
                    let mut piece = vec![0; 4_096];
                    let length = stream.read(&mut piece).await.unwrap();
                    let text = String::from_utf8_lossy(&piece[..length]).into_owned();
                    assert!(text.starts_with("test,vm=ns1 answer=42i "), "{connection}: {text}");
                    let gap = last.replace(Instant::now()).map(|last: Instant| last.elapsed().as_secs());
                    assert!(gap.is_none_or(|gap| (1..=10).contains(&gap)), "{gap:?}");
                }
                stream.abort();
            }
        });
    }
}
