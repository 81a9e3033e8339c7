use super::*;

const FILE: &str = "/d/f";

/// What any seed finds of the file after a crash.
fn found(fs: &FakeFs) -> Vec<Option<Vec<u8>>> {
    let mut all: Vec<_> =
        (0..64).map(|seed| fs.found_after_a_cut(seed).tree().remove(Path::new(FILE))).collect();
    all.sort();
    all.dedup();
    all
}

fn written(fs: &FakeFs) -> Box<dyn WriteFile> {
    fs.create_dir(Path::new("/d")).unwrap();
    let mut file = fs.create(Path::new(FILE)).unwrap();
    file.append(&[Bytes::from_static(b"ab")]).unwrap();
    file
}

#[test]
fn what_was_not_synced_may_or_may_not_survive() {
    let fs = FakeFs::default();
    let mut file = written(&fs);
    assert_eq!(found(&fs), [None, Some(vec![]), Some(b"a".to_vec()), Some(b"ab".to_vec())]);
    fs.sync_dir(Path::new("/")).unwrap();
    fs.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(found(&fs), [Some(vec![]), Some(b"a".to_vec()), Some(b"ab".to_vec())]);
    file.sync().unwrap();
    assert_eq!(found(&fs), [Some(b"ab".to_vec())]);
    fs.remove(Path::new(FILE)).unwrap();
    assert_eq!(found(&fs), [None, Some(b"ab".to_vec())]);
}

#[test]
fn after_the_cut_nothing_happens_and_a_failing_call_does_half() {
    let fs = FakeFs::default();
    let mut file = written(&fs);
    fs.fail_after(0, io::ErrorKind::StorageFull);
    assert!(file.append(&[Bytes::from_static(b"cdef")]).is_err());
    assert_eq!(fs.tree()[Path::new(FILE)], b"abcd");
    fs.cut_after(1);
    file.sync().unwrap();
    assert!(!fs.is_cut() || file.sync().is_err());
    assert!(file.sync().is_err() && fs.list(Path::new("/")).is_err() && fs.is_cut());
}

#[test]
fn what_was_under_way_at_a_crash_does_not_go_on() {
    let fs = FakeFs::default();
    let mut file = written(&fs);
    fs.crash(1);
    assert!(file.sync().is_err() && fs.sync_dir(Path::new("/d")).is_err() && fs.is_cut());
}
