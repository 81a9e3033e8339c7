//! File systems of a test's own.

use std::path::Path;
use std::process::Command;

/// A small file system; unmounted when it goes out of scope.
pub(crate) struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` where this user may not mount.
    pub(crate) fn mount(at: &'a Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .output()
            .ok()?;
        mount.status.success().then_some(Self(at))
    }

    /// The same in an image, of a kind that delays where it puts things. `None` where that cannot be made.
    pub(crate) fn mount_ext4(at: &'a Path, size: u64) -> Option<Self> {
        let image = at.with_extension("img");
        std::fs::File::create(&image).unwrap().set_len(size).unwrap();
        std::fs::create_dir_all(at).unwrap();
        let ran = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            output.is_ok_and(|output| output.status.success())
        };
        let (image, at_text) = (image.to_str().unwrap(), at.to_str().unwrap());
        let mounted =
            ran("mkfs.ext4", &["-q", "-m", "0", image]) && ran("mount", &["-o", "loop", image, at_text]);
        mounted.then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} is still mounted", self.0.display());
    }
}
