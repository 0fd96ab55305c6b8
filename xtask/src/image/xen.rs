//! A configuration for `xl`, which boots the image as a PVH guest.
//!
//! Source: xl.cfg(5), Xen 4.17.

use super::{Built, Options, Source, arguments, description::Kind};
use crate::Failure;

/// Letters of the virtual disks, in order: `xvda` to `xvdz`.
const DISKS: std::ops::RangeInclusive<char> = 'a'..='z';

/// MiB of a domain beyond those of the image: xl takes its own pages (console, xenstore, ACPI) from there, and the image finds
/// the rest. Without them it says "Could not allocate special pages".
const TOOLS_MIB: u32 = 2;

/// Writes `NAME.xen.cfg` beside the image.
pub fn write(source: &Source<'_>, options: &Options) -> Result<Built, Failure> {
    let path = source.path("xen.cfg");
    super::write(&path, configuration(source, options)?.as_bytes())?;
    let next = format!("xl create -c {}.xen.cfg", source.description.name);
    Ok(Built { artefact: source.elf.clone(), beside: vec![("config", path)], next: vec![next] })
}

fn configuration(source: &Source<'_>, options: &Options) -> Result<String, Failure> {
    let name = &source.description.name;
    // The order is the manifest's: it is how the image tells its interfaces apart.
    let interfaces: String =
        source.devices_of(Kind::Net).map(|device| format!("  \"bridge=xenbr0\",  # {device}\n")).collect();
    let disks: String = source
        .devices_of(Kind::Block)
        .zip(DISKS)
        .map(|(device, letter)| {
            format!("  \"format=raw,vdev=xvd{letter},access=rw,target={name}.{device}\",  # {device}\n")
        })
        .collect();
    Ok(format!(
        "\
# xl create -c {name}.xen.cfg, in the directory of {file}. Where xl is to start it again after a crash, give whole paths
# and set on_crash to \"restart\".
name = \"{name}\"
type = \"pvh\"
kernel = \"{file}\"
cmdline = \"{arguments}\"
memory = {memory}
vcpus = 1
on_reboot = \"destroy\"
on_crash = \"destroy\"
vif = [
{interfaces}]
disk = [
{disks}]
",
        file = source.file_name(),
        arguments = escaped(&arguments::command_line(options)?),
        memory = source.description.memory_mib + TOOLS_MIB,
    ))
}

/// A string between double quotes: xl knows the escapes `\\` and `\"`.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};

    #[track_caller]
    fn check(content_baked_in: bool, expect: &str) {
        let (source, options) = testing::source("xen", &["--name=\"x\""], content_baked_in);
        let text = configuration(&source, &options).expect("the arguments are words");
        let settings: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(settings.join("\n"), expect);
    }

    #[test]
    fn names_every_device_in_the_order_of_the_manifest() {
        check(
            false,
            r#"name = "sample"
type = "pvh"
kernel = "sample.xen"
cmdline = "--name=\"x\""
memory = 18
vcpus = 1
on_reboot = "destroy"
on_crash = "destroy"
vif = [
  "bridge=xenbr0",  # service
  "bridge=xenbr0",  # management
]
disk = [
  "format=raw,vdev=xvda,access=rw,target=sample.storage",  # storage
]"#,
        );
    }

    #[test]
    fn has_no_disk_where_the_content_is_baked_in() {
        let (source, options) = testing::source("xen", &[], true);
        let text = configuration(&source, &options).expect("there are no arguments");
        assert!(text.ends_with("disk = [\n]\n"), "{text}");
    }
}
