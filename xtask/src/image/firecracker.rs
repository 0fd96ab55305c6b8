//! A configuration for Firecracker, which boots the virtio image by PVH.
//!
//! Source: the fields of `VmmConfig` in Firecracker `src/vmm/src/resources.rs` and below `src/vmm/src/vmm_config/`, which
//! refuse unknown ones; `drives` must be there, even where it is empty. Files are named relative to the directory that
//! Firecracker is started in, so that the configuration is the same wherever it is built.

use super::{Built, Options, Source, arguments, description::Kind};
use crate::Failure;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Machine<'a> {
    boot_source: BootSource<'a>,
    machine_config: MachineConfig,
    network_interfaces: Vec<Interface<'a>>,
    drives: Vec<Drive<'a>>,
}

#[derive(Serialize)]
struct BootSource<'a> {
    kernel_image_path: &'a str,
    /// Always there: without it Firecracker passes arguments that are meant for Linux.
    boot_args: &'a str,
}

#[derive(Serialize)]
struct MachineConfig {
    vcpu_count: u8,
    mem_size_mib: u32,
}

#[derive(Serialize)]
struct Interface<'a> {
    iface_id: &'a str,
    host_dev_name: String,
}

#[derive(Serialize)]
struct Drive<'a> {
    drive_id: &'a str,
    path_on_host: String,
    is_root_device: bool,
    is_read_only: bool,
}

/// Writes `NAME.firecracker.json` beside the image.
pub fn write(source: &Source<'_>, options: &Options) -> Result<Built, Failure> {
    let path = source.path("firecracker.json");
    super::write(&path, configuration(source, options)?.as_bytes())?;
    let next = format!("firecracker --no-api --config-file {}.firecracker.json", source.description.name);
    Ok(Built { artefact: path, beside: vec![("image", source.elf.clone())], next: vec![next] })
}

fn configuration(source: &Source<'_>, options: &Options) -> Result<String, Failure> {
    let name = &source.description.name;
    let machine = Machine {
        boot_source: BootSource {
            kernel_image_path: &source.file_name(),
            boot_args: &arguments::command_line(options)?,
        },
        machine_config: MachineConfig { vcpu_count: 1, mem_size_mib: source.description.memory_mib },
        network_interfaces: source
            .devices_of(Kind::Net)
            .enumerate()
            .map(|(index, device)| Interface { iface_id: device, host_dev_name: format!("tap{index}") })
            .collect(),
        drives: source
            .devices_of(Kind::Block)
            .map(|device| Drive {
                drive_id: device,
                path_on_host: format!("{name}.{device}"),
                is_root_device: false,
                is_read_only: false,
            })
            .collect(),
    };
    let text = serde_json::to_string_pretty(&machine).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};
    use serde_json::{Value, json};

    #[track_caller]
    fn check(arguments: &[&str], content_baked_in: bool, expect: Value) {
        let (source, options) = testing::source("virtio", arguments, content_baked_in);
        let text = configuration(&source, &options).expect("the arguments are words");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("it is JSON"), expect);
    }

    #[test]
    fn has_the_fields_that_firecracker_reads_and_no_others() {
        check(
            &["--ipv4=10.0.0.2/24", "--ipv4-gateway=10.0.0.1"],
            true,
            json!({
                "boot-source": {
                    "kernel_image_path": "sample.virtio",
                    "boot_args": "--ipv4=10.0.0.2/24 --ipv4-gateway=10.0.0.1",
                },
                "machine-config": { "vcpu_count": 1, "mem_size_mib": 16 },
                "network-interfaces": [
                    { "iface_id": "service", "host_dev_name": "tap0" },
                    { "iface_id": "management", "host_dev_name": "tap1" },
                ],
                "drives": [],
            }),
        );
    }

    #[test]
    fn attaches_the_content_where_it_is_not_baked_in() {
        let (source, options) = testing::source("virtio", &[], false);
        let text = configuration(&source, &options).expect("there are no arguments");
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        let drive = json!({
            "drive_id": "storage", "path_on_host": "sample.storage", "is_root_device": false, "is_read_only": false,
        });
        assert_eq!(value["drives"], json!([drive]));
        assert_eq!(value["boot-source"]["boot_args"], "");
    }
}
