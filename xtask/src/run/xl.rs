//! Running an image on Xen: this host's, by `xl`, or one in QEMU (tests/xen).

use super::Options;
use crate::{Failure, cargo, image, test};
use std::{fs, process::Command};

/// What dom0's kernel says of itself. Source: Linux `drivers/xen/xenfs/super.c`.
const CAPABILITIES: &str = "/proc/xen/capabilities";

/// What boots the image and its configuration.
pub fn command(description: &image::Description, options: Options) -> Result<Command, Failure> {
    let Options { mut image, publish, memory_mib, arguments, .. } = options;
    image.arguments = arguments;
    let built = image::build_all(description, "xen", &image)?;
    let configuration = built.beside.iter().find(|(what, _)| *what == "config");
    let (_, configuration) = configuration.ok_or("the image has no configuration for xl")?;
    if memory_mib.is_some() {
        return Err(format!("--memory is a line of {} on Xen", configuration.display()));
    }
    if is_dom0() && test::is_installed("xl") {
        eprintln!("note: on a Xen host the interface is on bridge xenbr0, and nothing is published");
        let mut command = Command::new("xl");
        command.args(["create", "-c"]).arg(configuration);
        command.arg(format!("kernel=\"{}\"", built.artefact.display()));
        return Ok(command);
    }
    eprintln!(
        "note: this is no Xen host with xl: Debian's Xen boots in QEMU, some 20 s; tests/xen/README.md"
    );
    let mut command = cargo::cargo(&["run", "--quiet", "--package", "xen-lab", "--example", "run", "--"]);
    command.arg(&built.artefact).arg(configuration);
    command.args(publish.iter().map(|rule| format!("--publish={rule}")));
    if description.outbound {
        command.arg("--outbound");
    }
    Ok(command)
}

fn is_dom0() -> bool {
    fs::read_to_string(CAPABILITIES).is_ok_and(|text| text.contains("control_d"))
}
