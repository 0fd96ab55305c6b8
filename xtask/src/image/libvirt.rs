//! A domain for libvirt, which boots the virtio image under QEMU with KVM.
//!
//! libvirt wants whole paths, and its confinement (SELinux, AppArmor) wants them where images usually lie; so the domain
//! names [`DIRECTORY`], whatever directory it is built in. Devices are placed on the root bus in the order of the
//! manifest, which is how the image tells them apart.
//!
//! Source: <https://libvirt.org/formatdomain.html>; the test checks the domain against libvirt's own schema.

use super::{Built, Options, Source, arguments, description::Kind};
use crate::Failure;
use std::fmt::Write;

/// Where the image has to be put. Source: the default storage pool of libvirt.
const DIRECTORY: &str = "/var/lib/libvirt/images";

/// First slot of the root bus that the chipset leaves free.
const FIRST_SLOT: usize = 2;

/// Writes `NAME.libvirt.xml` beside the image.
pub fn write(source: &Source<'_>, options: &Options) -> Result<Built, Failure> {
    let path = source.path("libvirt.xml");
    super::write(&path, domain(source, options)?.as_bytes())?;
    let (name, file) = (&source.description.name, source.file_name());
    let next =
        vec![format!("sudo cp {file} {DIRECTORY}/"), format!("virsh create --console {name}.libvirt.xml")];
    Ok(Built { artefact: path, beside: vec![("image", source.elf.clone())], next })
}

fn domain(source: &Source<'_>, options: &Options) -> Result<String, Failure> {
    let name = &source.description.name;
    let mut devices = String::new();
    let mut slots = FIRST_SLOT..;
    let mut address = || {
        let slot = slots.next().unwrap_or_default();
        format!("<address type='pci' domain='0x0000' bus='0x00' slot='{slot:#04x}' function='0x0'/>")
    };
    for _ in source.devices_of(Kind::Net) {
        let address = address();
        let _ = write!(
            devices,
            "
    <interface type='network'>
      <source network='default'/>
      <model type='virtio'/>
      {address}
    </interface>"
        );
    }
    for (device, letter) in source.devices_of(Kind::Block).zip('a'..='z') {
        let address = address();
        let _ = write!(
            devices,
            "
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{DIRECTORY}/{name}.{device}'/>
      <target dev='vd{letter}' bus='virtio'/>
      <serial>{device}</serial>
      {address}
    </disk>"
        );
    }
    Ok(format!(
        "\
<domain type='kvm'>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{DIRECTORY}/{file}</kernel>
    <cmdline>{arguments}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='host-passthrough'/>
  <on_reboot>destroy</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
    <console type='pty'/>
    <memballoon model='none'/>{devices}
  </devices>
</domain>
",
        memory = source.description.memory_mib,
        file = source.file_name(),
        arguments = escaped(&arguments::command_line(options)?),
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};
    use std::process::{Command, Stdio};

    /// Schema of a domain. Source: Debian's libvirt0.
    const SCHEMA: &str = "/usr/share/libvirt/schemas/domain.rng";

    #[track_caller]
    fn check(content_baked_in: bool, parts: &[&str]) -> String {
        let (source, options) = testing::source("virtio", &["--log-level=a<b&c"], content_baked_in);
        let text = domain(&source, &options).expect("the arguments are words");
        for part in parts {
            assert!(text.contains(part), "'{part}' is missing from:\n{text}");
        }
        text
    }

    #[test]
    fn places_the_devices_in_the_order_of_the_manifest() {
        let text = check(
            false,
            &[
                "<kernel>/var/lib/libvirt/images/sample.virtio</kernel>",
                "<cmdline>--log-level=a&lt;b&amp;c</cmdline>",
                "slot='0x02'",
                "slot='0x03'",
                "<source file='/var/lib/libvirt/images/sample.storage'/>",
                "<serial>storage</serial>\n      <address type='pci' domain='0x0000' bus='0x00' slot='0x04'",
            ],
        );
        assert_eq!(text.matches("<interface ").count(), 2);
        assert!(!check(true, &[]).contains("<disk"), "the content is baked in");
    }

    #[test]
    #[ignore = "needs libvirt's schema and xmllint: cargo xtask test"]
    fn is_valid_by_the_schema_of_libvirt() {
        for content_baked_in in [false, true] {
            let mut lint = Command::new("xmllint")
                .args(["--noout", "--relaxng", SCHEMA, "-"])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("xmllint is installed (libxml2-utils)");
            let mut input = lint.stdin.take().expect("it is piped");
            std::io::Write::write_all(&mut input, check(content_baked_in, &[]).as_bytes())
                .expect("xmllint reads");
            drop(input);
            let output = lint.wait_with_output().expect("xmllint ends");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
