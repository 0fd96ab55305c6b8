//! An OCI image archive for urunc, the container runtime that starts unikernels, so that a cluster runs images.
//!
//! ```text
//! NAME.oci.tar: oci-layout │ index.json ─► manifest ─┬─► configuration: default arguments
//!                                                    └─► layer: /unikernel/NAME.MONITOR, /urunc.json
//! ```
//!
//! The image says "mirage", the type whose conventions are ours: urunc attaches the pod's interface as `service` and
//! passes `--ipv4=ADDRESS/BITS --ipv4-gateway=ADDRESS` in front of the container's arguments.
//!
//! Source: OCI image specification 1.1; urunc `docs/package/index.md` and `pkg/unikontainers/unikernels/mirage.go`.

mod annotations;
mod archive;

pub use annotations::Monitor;

use super::{Built, Options, Source, description::Kind, read};
use crate::Failure;

/// What a container runs with that is given no arguments: a container must have some, and this one changes nothing.
const DEFAULT_ARGUMENT: &str = "--log-level=info";

/// Writes `NAME.oci.tar` beside the image.
pub fn write(source: &Source<'_>, options: &Options, monitor: Monitor) -> Result<Built, Failure> {
    let path = source.path("oci.tar");
    super::write(&path, &image(source, &read(&source.elf)?, options, monitor)?)?;
    for device in unattached(source) {
        eprintln!(
            "note: urunc attaches no '{device}'; bake content in with --content, other devices it cannot have"
        );
    }
    let (name, file) = (&source.description.name, path.file_name().unwrap_or_default().to_string_lossy());
    let next = vec![
        format!(
            "sudo ctr --namespace k8s.io images import {file}      # on a node; the image is {name}:{}",
            version()
        ),
        format!("skopeo copy oci-archive:{file} docker://REGISTRY/{name}:{}", version()),
    ];
    Ok(Built { artefact: path, beside: vec![("image", source.elf.clone())], next })
}

fn image(source: &Source<'_>, elf: &[u8], options: &Options, monitor: Monitor) -> Result<Vec<u8>, Failure> {
    let mut arguments = options.arguments.clone();
    // Says what cannot be an argument.
    super::arguments::command_line(options)?;
    if arguments.is_empty() {
        arguments.push(DEFAULT_ARGUMENT.into());
    }
    let binary = format!("unikernel/{}", source.file_name());
    let annotations = annotations::of(monitor, &binary, &arguments, version());
    let layer = archive::layer(&[(&binary, elf), ("urunc.json", &annotations::file(&annotations)?)])?;
    archive::image(&source.description.name, version(), layer, &arguments, &annotations)
}

/// The version of the images is the workspace's.
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Devices of the manifest that urunc does not attach.
fn unattached<'a>(source: &'a Source<'_>) -> impl Iterator<Item = &'a str> {
    let interfaces = source.devices_of(Kind::Net).filter(|device| *device != "service");
    interfaces.chain(source.devices_of(Kind::Block))
}

#[cfg(test)]
mod tests;
