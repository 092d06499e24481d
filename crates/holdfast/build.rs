//! Puts the built web pages (`web/dist`) into the binary, each with its type, its ETag and, where that saves
//! something, its gzip form. Without a web build the table is empty and the pages say how to make one.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

const DIST: &str = "../../web/dist";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // While it is not there this runs at every build, so that it is noticed when it comes.
    println!("cargo:rerun-if-changed={DIST}");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let dist = Path::new(DIST);
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(dist, &mut files);
        files.sort();
    }
    let mut table = String::from("pub static FILES: &[File] = &[\n");
    for (index, file) in files.iter().enumerate() {
        let path = file.strip_prefix(dist).expect("it was found there").to_string_lossy().replace('\\', "/");
        let bytes = fs::read(file).expect("a file of the web build can be read");
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        let etag = format!("\\\"{:016x}{:x}\\\"", hasher.finish(), bytes.len());
        let gzip = match gzip(&bytes) {
            Some(gzip) => {
                let name = format!("page-{index}.gz");
                fs::write(out.join(&name), gzip).expect("OUT_DIR can be written");
                format!("Some(include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\")))")
            }
            None => "None".to_owned(),
        };
        // A copy, so that a web build which runs meanwhile cannot take files away under the compiler.
        let name = format!("page-{index}");
        fs::write(out.join(&name), &bytes).expect("OUT_DIR can be written");
        writeln!(
            table,
            "    File {{ path: \"/{path}\", kind: \"{}\", etag: \"{etag}\", \
             bytes: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\")), gzip: {gzip} }},",
            kind(&path)
        )
        .expect("writing into a string does not fail");
    }
    table.push_str("];\n");
    fs::write(out.join("files.rs"), table).expect("OUT_DIR can be written");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the web build can be listed") {
        let path = entry.expect("the web build can be listed").path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

/// The gzip form, where it is at least a tenth smaller.
fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("writing into memory does not fail");
    let gzip = encoder.finish().expect("writing into memory does not fail");
    (gzip.len() < bytes.len() / 10 * 9).then_some(gzip)
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
