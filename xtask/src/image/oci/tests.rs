//! The archive against the schemas of the OCI image specification, and what urunc makes of it.

use super::{super::testing, *};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::{collections::BTreeMap, io::Read};

/// The schemas by the names they refer to each other by. Source: tests/oci-schema/README.md.
const SCHEMAS: [(&str, &str); 7] = [
    ("config-schema.json", include_str!("../../../tests/oci-schema/config-schema.json")),
    ("content-descriptor.json", include_str!("../../../tests/oci-schema/content-descriptor.json")),
    ("defs-descriptor.json", include_str!("../../../tests/oci-schema/defs-descriptor.json")),
    ("defs.json", include_str!("../../../tests/oci-schema/defs.json")),
    ("image-index-schema.json", include_str!("../../../tests/oci-schema/image-index-schema.json")),
    ("image-layout-schema.json", include_str!("../../../tests/oci-schema/image-layout-schema.json")),
    ("image-manifest-schema.json", include_str!("../../../tests/oci-schema/image-manifest-schema.json")),
];

type Files = BTreeMap<String, Vec<u8>>;

fn files(tar: &[u8]) -> Files {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("it is a tar file");
    let read = entries.map(|entry| {
        let mut entry = entry.expect("it is a tar file");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("it is in memory");
        (entry.path().expect("it has a name").display().to_string(), bytes)
    });
    read.collect()
}

#[track_caller]
fn document(files: &Files, name: &str) -> Value {
    serde_json::from_slice(files.get(name).unwrap_or_else(|| panic!("there is no {name}")))
        .expect("it is JSON")
}

/// The file that a descriptor refers to, having checked its digest and size.
#[track_caller]
fn referred(files: &Files, descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().expect("it has a digest");
    let name = format!("blobs/{}", digest.replace(':', "/"));
    let bytes = files.get(&name).unwrap_or_else(|| panic!("there is no {name}"));
    assert_eq!(digest, format!("sha256:{}", crate::image::sums::hexadecimal(bytes)));
    assert_eq!(descriptor["size"], bytes.len());
    name
}

/// What a schema of the specification has against a document.
fn violations(name: &str, document: &Value) -> Vec<String> {
    let parse = |text| serde_json::from_str::<Value>(text).expect("a schema is JSON");
    // They refer to each other by file names, below the two addresses that they give themselves.
    let resources = ["schema/image", "schema"].iter().flat_map(|folder| {
        SCHEMAS.map(|(name, text)| (format!("https://opencontainers.org/{folder}/{name}"), parse(text)))
    });
    let registry = jsonschema::Registry::new().extend(resources).and_then(|registry| registry.prepare());
    let schema = parse(SCHEMAS.iter().find(|(known, _)| *known == name).expect("it is one of them").1);
    let validator = jsonschema::options()
        .with_registry(&registry.expect("the schemas are whole"))
        .build(&schema)
        .expect("the schema is one");
    validator.iter_errors(document).map(|error| error.to_string()).collect()
}

#[track_caller]
fn check_schema(name: &str, document: &Value) {
    assert_eq!(violations(name, document), [""; 0], "{name}: {document}");
}

fn sample(monitor: Monitor, arguments: &[&str]) -> Vec<u8> {
    let (source, options) = testing::source(monitor.back_end(), arguments, true);
    image(&source, b"an ELF file", &options, monitor).expect("the arguments are words")
}

#[test]
fn every_document_is_valid_by_the_specification() {
    let files = files(&sample(Monitor::Hvt, &["--ipv4=none"]));
    check_schema("image-layout-schema.json", &document(&files, "oci-layout"));
    let index = document(&files, "index.json");
    check_schema("image-index-schema.json", &index);
    let manifest = document(&files, &referred(&files, &index["manifests"][0]));
    check_schema("image-manifest-schema.json", &manifest);
    let configuration = document(&files, &referred(&files, &manifest["config"]));
    check_schema("config-schema.json", &configuration);
    assert_eq!(configuration["config"]["Cmd"][0], "--ipv4=none");
    assert_eq!(
        configuration["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"],
        "the layer is not compressed"
    );
}

#[test]
fn the_schemas_refuse_what_is_wrong() {
    let files = files(&sample(Monitor::Hvt, &[]));
    let mut index = document(&files, "index.json");
    index["manifests"][0]["digest"] = "sha256 of something".into();
    assert_eq!(violations("image-index-schema.json", &index).len(), 1);
    index["manifests"][0]["annotations"]["a.number"] = 1.into();
    assert_eq!(violations("image-index-schema.json", &index).len(), 2);
}

#[track_caller]
fn check(monitor: Monitor, arguments: &[&str], expect: [(&str, &str); 5]) {
    let archive = files(&sample(monitor, arguments));
    let index = document(&archive, "index.json");
    let manifest = document(&archive, &referred(&archive, &index["manifests"][0]));
    let layer = files(&archive[&referred(&archive, &manifest["layers"][0])]);
    let json = document(&layer, "urunc.json");
    for (key, value) in expect {
        let key = format!("com.urunc.unikernel.{key}");
        assert_eq!(manifest["annotations"][&key], value);
        let encoded = json[&key].as_str().expect("it is there");
        assert_eq!(STANDARD.decode(encoded).expect("it is base64"), value.as_bytes());
    }
    assert_eq!(json.as_object().map(|object| object.len()), Some(expect.len()));
    let binary = expect[3].1.trim_start_matches('/');
    assert_eq!(layer[binary], b"an ELF file");
}

#[test]
fn urunc_finds_what_to_start_and_how() {
    let common = |hypervisor, binary, cmdline| {
        [
            ("unikernelType", "mirage"),
            ("unikernelVersion", version()),
            ("hypervisor", hypervisor),
            ("binary", binary),
            ("cmdline", cmdline),
        ]
    };
    check(Monitor::Hvt, &[], common("hvt", "/unikernel/sample.hvt", "--log-level=info"));
    check(Monitor::Spt, &["--ipv6=none"], common("spt", "/unikernel/sample.spt", "--ipv6=none"));
    check(Monitor::Qemu, &["a", "b"], common("qemu", "/unikernel/sample.virtio", "a b"));
    check(Monitor::Firecracker, &[], common("firecracker", "/unikernel/sample.virtio", "--log-level=info"));
}

#[test]
fn is_the_same_every_time() {
    // The crate's maps have another order in every instance.
    assert!((0..8).all(|_| sample(Monitor::Hvt, &[]) == sample(Monitor::Hvt, &[])));
}
