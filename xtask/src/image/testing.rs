//! A sample image for tests of the formats: two interfaces and a block device with the content.

use super::{Description, Options, Source};

const SAMPLE: &str = r#"
package = "sample"
targets = ["hvt", "spt", "virtio", "xen"]
memory_mib = 16
size_max_bytes = 1024
content = "storage"

[[devices]]
name = "service"
type = "net"

[[devices]]
name = "management"
type = "net"

[[devices]]
name = "storage"
type = "block"
"#;

/// The sample as it is after its ELF file was built in `/images`, and the options with `arguments`.
pub fn source(back_end: &str, arguments: &[&str], content_baked_in: bool) -> (Source<'static>, Options) {
    let mut description: Description = toml::from_str(SAMPLE).expect("it is a description");
    description.name = "sample".into();
    let devices = description.devices_for(content_baked_in, false);
    let elf = format!("/images/sample.{back_end}").into();
    let arguments = arguments.iter().map(|&argument| argument.into()).collect();
    let source = Source { description: Box::leak(Box::new(description)), elf, devices };
    (source, Options { arguments, ..Options::default() })
}
