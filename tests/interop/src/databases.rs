//! Databases of measurements: InfluxDB, VictoriaMetrics and Prometheus, each empty and on ports of its own.

use crate::{Group, Scratch, free_port, wait_for};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

/// A question by HTTP, answered with JSON.
#[track_caller]
fn ask(port: u16, path: &str, parameters: &[(&str, &str)]) -> Value {
    let text = curl(port, path, parameters);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path} {parameters:?}: {error}: {text}"))
}

/// What a URL of this host has.
#[track_caller]
pub fn curl(port: u16, path: &str, parameters: &[(&str, &str)]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "10", "--get"]);
    for (name, value) in parameters {
        curl.arg("--data-urlencode").arg(format!("{name}={value}"));
    }
    let output = curl.arg(format!("http://127.0.0.1:{port}{path}")).output().expect("curl is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn started(name: &str, port: u16, scratch: &Scratch, command: &mut Command) -> Group {
    let log = fs::File::create(scratch.path().join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let group = Group::start(command);
    wait_for(&format!("{name} listens"), || TcpStream::connect(("127.0.0.1", port)).is_ok());
    group
}

/// Debian's victoria-metrics.
pub struct VictoriaMetrics {
    http: u16,
    /// Where it takes influx lines over TCP.
    pub lines: u16,
    _group: Group,
    _scratch: Scratch,
}

impl VictoriaMetrics {
    /// Scrapes this port of 127.0.0.1 every second.
    #[track_caller]
    pub fn start(scraped: u16) -> VictoriaMetrics {
        let (scratch, http, lines) = (Scratch::new(), free_port(), free_port());
        let scrape = scratch.path().join("scrape.yml");
        fs::write(&scrape, scrape_configuration(scraped)).unwrap();
        let mut command = Command::new("victoria-metrics");
        command.arg(format!("-storageDataPath={}", scratch.path().join("data").display()));
        command
            .arg(format!("-httpListenAddr=127.0.0.1:{http}"))
            .arg(format!("-influxListenAddr=127.0.0.1:{lines}"));
        command.arg(format!("-promscrape.config={}", scrape.display())).arg("-search.latencyOffset=0s");
        let group = started("VictoriaMetrics", http, &scratch, &mut command);
        VictoriaMetrics { http, lines, _group: group, _scratch: scratch }
    }

    /// The series that a query in PromQL has now.
    #[track_caller]
    pub fn query(&self, query: &str) -> Vec<Value> {
        prometheus_query(self.http, query)
    }
}

/// Debian's prometheus.
pub struct Prometheus {
    http: u16,
    _group: Group,
    _scratch: Scratch,
}

impl Prometheus {
    /// Scrapes this port of 127.0.0.1 every second.
    #[track_caller]
    pub fn start(scraped: u16) -> Prometheus {
        let (scratch, http) = (Scratch::new(), free_port());
        let configuration = scratch.path().join("prometheus.yml");
        fs::write(&configuration, scrape_configuration(scraped)).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", configuration.display()));
        command.arg(format!("--storage.tsdb.path={}", scratch.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{http}"));
        let group = started("Prometheus", http, &scratch, &mut command);
        Prometheus { http, _group: group, _scratch: scratch }
    }

    /// The series that a query in PromQL has now.
    #[track_caller]
    pub fn query(&self, query: &str) -> Vec<Value> {
        prometheus_query(self.http, query)
    }
}

fn scrape_configuration(port: u16) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: skerry, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
    )
}

#[track_caller]
fn prometheus_query(port: u16, query: &str) -> Vec<Value> {
    let answer = ask(port, "/api/v1/query", &[("query", query)]);
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

/// Debian's influxdb, and before it somebody who takes lines over TCP, which this version of it does not: Telegraf's part.
pub struct Influx {
    http: u16,
    /// Where lines are taken over TCP.
    pub lines: u16,
    /// What the database did not like.
    refused: Arc<Mutex<Vec<String>>>,
    _group: Group,
    _scratch: Scratch,
}

impl Influx {
    /// With an empty database.
    #[track_caller]
    pub fn start() -> Influx {
        let (scratch, http, rpc) = (Scratch::new(), free_port(), free_port());
        let directory = scratch.path().display();
        let configuration = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{rpc}\"\n[meta]\ndir = \"{directory}/meta\"\n\
             [data]\ndir = \"{directory}/data\"\nwal-dir = \"{directory}/wal\"\n[http]\nbind-address = \"127.0.0.1:{http}\"\n"
        );
        fs::write(scratch.path().join("influxdb.conf"), configuration).unwrap();
        let mut command = Command::new("influxd");
        command.arg("-config").arg(scratch.path().join("influxdb.conf"));
        let group = started("InfluxDB", http, &scratch, &mut command);
        post(http, "/query?q=CREATE+DATABASE+skerry", "");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let lines = listener.local_addr().unwrap().port();
        let refused = Arc::new(Mutex::new(Vec::new()));
        let told = refused.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                relay(stream, http, &told);
            }
        });
        Influx { http, lines, refused, _group: group, _scratch: scratch }
    }

    /// Writes lines; why the database did not take them, if it did not.
    pub fn write(&self, lines: &str) -> Result<(), String> {
        match post(self.http, "/write?db=skerry", lines) {
            refused if refused.is_empty() => Ok(()),
            refused => Err(refused),
        }
    }

    /// The series of the first statement of a query in InfluxQL.
    #[track_caller]
    pub fn query(&self, query: &str) -> Vec<Value> {
        let answer = ask(self.http, "/query", &[("db", "skerry"), ("q", query)]);
        assert!(answer["error"].is_null() && answer["results"][0]["error"].is_null(), "{query}: {answer}");
        answer["results"][0]["series"].as_array().cloned().unwrap_or_default()
    }

    /// What the database said of lines that it did not take.
    pub fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap().clone()
    }
}

/// Writes what comes whenever nothing more comes for a while.
fn relay(mut stream: TcpStream, http: u16, refused: &Mutex<Vec<String>>) {
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let (mut lines, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let read = stream.read(&mut piece);
        match read {
            Ok(length) if length > 0 => {
                lines.extend(&piece[..length]);
                continue;
            }
            _ if !lines.is_empty() => {
                let answer = post(http, "/write?db=skerry", &String::from_utf8_lossy(&lines));
                lines.clear();
                if !answer.is_empty() {
                    refused.lock().unwrap().push(answer);
                }
            }
            _ => {}
        }
        if matches!(read, Ok(0)) {
            return;
        }
    }
}

/// Posts, and returns what was answered if it was not just a success.
fn post(port: u16, path: &str, body: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "10", "--data-binary", "@-"]);
    curl.arg(format!("http://127.0.0.1:{port}{path}"));
    let mut child = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("curl is installed");
    child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).trim().to_owned()
}
