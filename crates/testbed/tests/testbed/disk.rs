use std::io::{ErrorKind, Write};

use holdfast_testbed::TinyDisk;

#[test]
fn a_tiny_disk_is_full_to_the_last_byte_and_gone_afterwards() {
    let disk = match TinyDisk::mount(2) {
        Ok(disk) => disk,
        Err(trouble) => {
            // Only root may mount; whoever may not is told so.
            let text = trouble.to_string();
            assert!(text.contains("mount") && !text.contains("No such file"), "{text}");
            return;
        }
    };
    let file = disk.path().join("file");
    std::fs::write(&file, "there is room").unwrap();
    disk.fill().unwrap();
    let mut file = std::fs::File::options().append(true).open(&file).unwrap();
    let full = file.write_all(&[0; 8192]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    disk.free().unwrap();
    file.write_all(&[0; 8192]).unwrap();
    drop(file);
    let path = disk.path();
    drop(disk);
    assert!(!path.exists());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(path.parent().unwrap().to_str().unwrap()));
}
