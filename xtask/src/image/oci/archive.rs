//! The archive: blobs named by their digests, and the documents that lead from one to the next.

use super::annotations::Annotations;
use crate::{Failure, image::sums};
use oci_spec::image::{
    Arch, ConfigBuilder, Descriptor, DescriptorBuilder, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, OciLayoutBuilder, Os, RootFsBuilder, SCHEMA_VERSION, Sha256Digest,
};
use serde::Serialize;
use std::{collections::HashMap, str::FromStr};

/// Version of the layout. Source: OCI image specification, "Image Layout".
const LAYOUT_VERSION: &str = "1.0.0";

/// A tar file with `files`, the same wherever and whenever it is made.
pub fn layer(files: &[(&str, &[u8])]) -> Result<Vec<u8>, Failure> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *bytes).map_err(|error| error.to_string())?;
    }
    archive.into_inner().map_err(|error| error.to_string())
}

/// The archive of the image `name:version` with one layer.
pub fn image(
    name: &str,
    version: &str,
    layer: Vec<u8>,
    arguments: &[String],
    annotations: &Annotations,
) -> Result<Vec<u8>, Failure> {
    let mut blobs = Vec::new();
    let layer_digest = format!("sha256:{}", sums::hexadecimal(&layer));
    let layer = add(&mut blobs, MediaType::ImageLayer, layer)?;
    let execution = ConfigBuilder::default().cmd(arguments.to_vec()).labels(map(annotations));
    let configuration = ImageConfigurationBuilder::default()
        .architecture(Arch::Amd64)
        .os(Os::Linux)
        .config(execution.build().map_err(said)?)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(vec![layer_digest]).build().map_err(said)?)
        .build()
        .map_err(said)?;
    let configuration = add(&mut blobs, MediaType::ImageConfig, json(&configuration)?)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(configuration)
        .layers(vec![layer])
        .annotations(map(annotations))
        .build()
        .map_err(said)?;
    let mut manifest = add(&mut blobs, MediaType::ImageManifest, json(&manifest)?)?;
    // The tag, and the whole name by which containerd knows an image that was never in a registry.
    manifest.set_annotations(Some(HashMap::from([
        ("org.opencontainers.image.ref.name".into(), version.into()),
        ("io.containerd.image.name".into(), format!("docker.io/library/{name}:{version}")),
    ])));
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(vec![manifest])
        .build()
        .map_err(said)?;
    let layout = OciLayoutBuilder::default().image_layout_version(LAYOUT_VERSION).build().map_err(said)?;
    let (layout, index) = (json(&layout)?, json(&index)?);
    let mut files: Vec<(&str, &[u8])> = vec![("oci-layout", &layout), ("index.json", &index)];
    files.extend(blobs.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    self::layer(&files)
}

/// Adds a blob and returns what refers to it.
fn add(
    blobs: &mut Vec<(String, Vec<u8>)>,
    media_type: MediaType,
    bytes: Vec<u8>,
) -> Result<Descriptor, Failure> {
    let digest = sums::hexadecimal(&bytes);
    let descriptor = DescriptorBuilder::default()
        .media_type(media_type)
        .size(bytes.len() as u64)
        .digest(Sha256Digest::from_str(&digest).map_err(said)?)
        .build()
        .map_err(said)?;
    blobs.push((format!("blobs/sha256/{digest}"), bytes));
    Ok(descriptor)
}

fn map(annotations: &Annotations) -> HashMap<String, String> {
    annotations.iter().map(|(name, value)| ((*name).into(), value.clone())).collect()
}

/// A document with its keys in order: the crate keeps annotations in a map that has none.
fn json(document: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_value(document)
        .and_then(|value| serde_json::to_vec(&value))
        .map_err(|error| error.to_string())
}

fn said(error: oci_spec::OciSpecError) -> Failure {
    error.to_string()
}
