//! Running an image on this host's Xen, by `xl`.

use super::Options;
use crate::{Failure, image, test};
use std::{fs, process::Command};

/// What dom0's kernel says of itself. Source: Linux `drivers/xen/xenfs/super.c`.
const CAPABILITIES: &str = "/proc/xen/capabilities";

/// `xl create` with the image and its configuration, changed on the command line where `run` was told otherwise.
pub fn command(description: &image::Description, options: Options) -> Result<Command, Failure> {
    let is_dom0 = fs::read_to_string(CAPABILITIES).is_ok_and(|text| text.contains("control_d"));
    if !is_dom0 || !test::is_installed("xl") {
        return Err(
            "this is no Xen host with xl (sudo apt-get install xen-system-amd64, and boot it). Without one, \
                    `cargo run -p xen-lab --example ask` boots Debian's Xen in QEMU: tests/xen/README.md"
                .into(),
        );
    }
    let Options { mut image, memory_mib, arguments, .. } = options;
    image.arguments = arguments;
    let built = image::build_all(description, "xen", &image)?;
    let configuration = built.beside.iter().find(|(what, _)| *what == "config");
    let (_, configuration) = configuration.ok_or("the image has no configuration for xl")?;
    let mut command = Command::new("xl");
    command.args(["create", "-c"]).arg(configuration).arg(format!("kernel=\"{}\"", built.artefact.display()));
    if let Some(memory_mib) = memory_mib {
        command.arg(format!("memory={memory_mib}"));
    }
    eprintln!(
        "note: on Xen an interface is on the bridge xenbr0, and nothing is published; its address is in the log"
    );
    Ok(command)
}
