//! The DNS image's measurements in other people's databases: every number can be asked for, and the dashboards show something.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use interop::{
    Image, Scratch,
    databases::{Influx, Prometheus, VictoriaMetrics, curl},
    free_port, wait_for,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

/// The port on which an image is asked.
const PORT: u16 = 9_100;

struct Measured {
    image: Image,
    /// Where it is asked.
    port: u16,
    _scratch: Scratch,
}

/// An image whose measurements are sent to a port of this host too.
fn image(lines: u16) -> Measured {
    let (scratch, port) = (Scratch::new(), free_port());
    let arguments =
        [format!("--monitor=10.0.2.2:{lines}"), format!("--metrics-port={PORT}"), "--name=ns1".into()];
    let mut image = Image::start_example(scratch.path(), &[(port, PORT)], &arguments);
    image.wait_for("serving");
    Measured { image, port, _scratch: scratch }
}

impl Measured {
    /// What it says when it is asked.
    fn text(&self) -> String {
        curl(self.port, "/metrics", &[])
    }

    /// The names of its numbers.
    fn names(&self) -> BTreeSet<String> {
        let text = self.text();
        let numbers = text.lines().filter(|line| !line.starts_with('#'));
        numbers.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
    }

    fn ask_something(&self) {
        for name in ["www.example.org", "none.example.org", "example.com"] {
            self.image.dig(&[name]);
        }
    }
}

/// The queries of a dashboard: what is in this field of its targets, with what they are to be filled in with.
fn queries(dashboard: &str, field: &str, fill: &[(&str, &str)]) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/grafana").join(dashboard);
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries = targets.map(|target| target[field].as_str().unwrap().to_owned());
    queries.map(|query| fill.iter().fold(query, |query, (from, to)| query.replace(from, to))).collect()
}

/// What this image has no numbers of: it follows no repository.
fn is_elsewhere(query: &str) -> bool {
    query.contains("skerry_store") || query.contains("\"store\"")
}

/// Asks again until every query has an answer; the first ones take two looks at the image.
#[track_caller]
fn check_queries(queries: &[String], ask: impl Fn(&str) -> bool) {
    assert!(queries.len() > 20, "{queries:?}");
    for query in queries.iter().filter(|query| !is_elsewhere(query)) {
        wait_for(query, || {
            ask(query) || {
                sleep(Duration::from_millis(200));
                false
            }
        });
    }
}

const PROMQL: [(&str, &str); 2] = [("$__rate_interval", "30s"), ("$instance", ".*")];

#[test]
#[ignore = "boots images; cargo xtask test"]
fn victoria_metrics_has_every_number_and_the_dashboard_shows_it() {
    let port = free_port();
    let database = VictoriaMetrics::start(port);
    let scratch = Scratch::new();
    let arguments = [
        format!("--monitor=10.0.2.2:{}", database.lines),
        format!("--metrics-port={PORT}"),
        "--name=ns1".into(),
    ];
    let mut image = Image::start_example(scratch.path(), &[(port, PORT)], &arguments);
    image.wait_for("serving");
    let measured = Measured { image, port, _scratch: scratch };
    measured.ask_something();
    let names = measured.names();
    assert!(names.len() > 40, "{names:?}");
    for name in &names {
        // Scraped, and under the name that influx lines have, sent.
        wait_for(name, || !database.query(name).is_empty());
        let sent = name.trim_start_matches("skerry_").trim_end_matches("_total");
        if name != "skerry_info" {
            let query = format!("{sent}{{vm=\"ns1\"}}");
            wait_for(&query, || !database.query(&query).is_empty());
        }
    }
    check_queries(&queries("prometheus.json", "expr", &PROMQL), |query| !database.query(query).is_empty());
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn prometheus_has_every_number_and_the_dashboard_shows_it() {
    let port = free_port();
    let scratch = Scratch::new();
    let mut image =
        Image::start_example(scratch.path(), &[(port, PORT)], &[format!("--metrics-port={PORT}")]);
    image.wait_for("serving");
    let measured = Measured { image, port, _scratch: scratch };
    let database = Prometheus::start(port);
    measured.ask_something();
    for name in &measured.names() {
        wait_for(name, || !database.query(name).is_empty());
    }
    let queries = queries("prometheus.json", "expr", &PROMQL);
    check_queries(&queries, |query| !database.query(query).is_empty());
    let answers = database.query("skerry_dns_answers_total{rcode=\"NXDOMAIN\"}");
    assert_eq!(answers[0]["value"][1], "1", "{answers:?}");
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn influxdb_has_every_number_and_the_dashboard_shows_it() {
    let database = Influx::start();
    let measured = image(database.lines);
    measured.ask_something();
    let expected: BTreeSet<String> = measured
        .names()
        .iter()
        .filter(|name| *name != "skerry_info")
        .map(|name| name.trim_end_matches("_total").to_owned())
        .collect();
    let fields = || -> BTreeSet<String> {
        let series = database.query("SHOW FIELD KEYS");
        let names = series.iter().flat_map(|series| {
            let measurement = series["name"].as_str().unwrap();
            let keys = series["values"].as_array().unwrap().iter();
            keys.map(move |row| format!("skerry_{measurement}_{}", row[0].as_str().unwrap()))
        });
        names.collect()
    };
    wait_for("the database has something", || !fields().is_empty());
    assert_eq!(fields(), expected, "{:?}", database.refused());
    let values = database.query("SELECT last(\"total_bytes\") FROM \"memory\" WHERE \"vm\" = 'ns1'");
    assert!(values[0]["values"][0][1].as_u64().unwrap() > 1 << 20, "{values:?}");
    let fill = [("$timeFilter", "time > now() - 5m"), ("$__interval", "1s"), ("/^$vm$/", "/^ns1$/")];
    check_queries(&queries("influxdb.json", "query", &fill), |query| !database.query(query).is_empty());
    assert!(database.refused().is_empty(), "{:?}", database.refused());
}

/// Everybody's own reader of the format finds nothing wrong with it.
#[test]
#[ignore = "boots images; cargo xtask test"]
fn the_text_is_openmetrics() {
    let measured = image(9);
    measured.ask_something();
    let text = measured.text();
    let script = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as read\n\
        families = list(read(sys.stdin.read()))\nprint(sum(len(family.samples) for family in families))\n\
        assert all(family.documentation for family in families)\n";
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = python.spawn().expect("python3 is installed");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(said.trim(), samples.to_string());
    assert!(text.contains("skerry_dns_answers_total{rcode=\"NXDOMAIN\"} 1\n"), "{text}");
    assert!(text.contains("skerry_info{vm=\"ns1\",service=\"dns\",version="), "{text}");
}
