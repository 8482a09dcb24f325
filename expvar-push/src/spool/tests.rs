use super::record::HEAD_BYTES;
use super::*;

fn batch(text: &str) -> Batch {
    Batch { bytes: Bytes::copy_from_slice(text.as_bytes()), points: 1 }
}

fn texts(found: &Recovered) -> Vec<(u64, &str)> {
    found.batches.iter().map(|(n, b)| (*n, std::str::from_utf8(&b.bytes).unwrap())).collect()
}

fn open(dir: &Path) -> (Spool, Recovered) {
    Spool::open(dir, "expvar-carbon", 1 << 20).unwrap()
}

const FORMAT: &[u8] = b"expvar-carbon spool 1\n";

#[test]
fn what_is_not_done_comes_back_with_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, found) = open(dir.path());
    assert!(found.batches.is_empty());
    spool.append(&[(0, batch("a 1 1\n")), (1, batch("b 1 1\n"))], &mut 0).unwrap();
    spool.done_below(1).unwrap();
    spool.append(&[(2, batch("c 1 1\n"))], &mut 0).unwrap();
    drop(spool);
    let (mut spool, found) = open(dir.path());
    assert_eq!(texts(&found), [(1, "b 1 1\n"), (2, "c 1 1\n")]);
    assert_eq!((found.next_seq, found.damaged), (3, 0));
    spool.append(&[(3, batch("d 1 1\n"))], &mut 0).unwrap();
    spool.done_below(4).unwrap();
    drop(spool);
    let (_spool, found) = open(dir.path());
    assert!(found.batches.is_empty());
    assert_eq!(found.next_seq, 4, "numbers are never used twice");
}

#[test]
fn every_torn_tail_costs_only_the_record_it_tears() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path());
    spool.append(&[(0, batch("a 1 1\n")), (1, batch("b 1 1\n"))], &mut 0).unwrap();
    let path = spool.segments[0].path.clone();
    drop(spool);
    let whole = std::fs::read(&path).unwrap();
    let one = FORMAT.len() + HEAD_BYTES + 6;
    for length in one + 1..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let (spool, found) = open(dir.path());
        assert_eq!(texts(&found), [(0, "a 1 1\n")]);
        assert_eq!(found.damaged, 1);
        drop(spool);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), one as u64, "cut off");
    }
}

#[test]
fn every_damaged_byte_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path());
    spool.append(&[(0, batch("a 1 1\n"))], &mut 0).unwrap();
    let path = spool.segments[0].path.clone();
    drop(spool);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        let (_spool, found) = open(dir.path());
        if at >= FORMAT.len() {
            assert!(found.batches.is_empty() && found.damaged == 1, "byte {at}");
        } else {
            assert_eq!(texts(&found), [(0, "a 1 1\n")], "the first line says nothing else");
        }
        assert_eq!(found.problems.len(), 1, "byte {at}");
    }
}

#[test]
fn a_damaged_byte_costs_its_record_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path());
    let batches: Vec<_> = (0..3).map(|n| (n, batch(&format!("a {n} 1\n").repeat(20)))).collect();
    spool.append(&batches, &mut 0).unwrap();
    let path = spool.segments[0].path.clone();
    drop(spool);
    let whole = std::fs::read(&path).unwrap();
    let record = HEAD_BYTES + batches[0].1.bytes.len();
    for at in FORMAT.len()..whole.len() {
        for bit in [0, 7] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            std::fs::write(&path, &damaged).unwrap();
            let (_spool, found) = open(dir.path());
            let lost = ((at - FORMAT.len()) / record) as u64;
            let rest: Vec<_> = (0..3).filter(|n| *n != lost).collect();
            let got: Vec<_> = found.batches.iter().map(|(n, _)| *n).collect();
            assert_eq!((got, found.damaged), (rest, 1), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn files_that_are_not_ours_are_named_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path());
    spool.append(&[(0, batch("a 1 1\n"))], &mut 0).unwrap();
    drop(spool);
    let later = b"expvar-carbon spool 2\nwhatever that holds".as_slice();
    let files = [
        ("00000000000000000007.spool", later, "the format 2 of a later release"),
        ("8.spool", b"a photograph".as_slice(), "not a spool of this program"),
        ("9.spool", b"expvar-otlp spool 1\n".as_slice(), "not a spool of this program"),
    ];
    for (name, content, _) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    std::fs::create_dir(dir.path().join("10.spool")).unwrap();
    std::fs::write(dir.path().join("18446744073709551615.spool"), "far").unwrap();
    for _ in 0..2 {
        let (mut spool, found) = open(dir.path());
        assert_eq!(texts(&found)[0], (0, "a 1 1\n"));
        assert_eq!(found.damaged, 0);
        assert_eq!(found.problems.len(), 4, "{:?}", found.problems);
        for ((path, problem), (name, content, expected)) in found.problems.iter().zip(files) {
            assert!(path.ends_with(name) && problem.contains(expected), "{problem}");
            assert_eq!(std::fs::read(path).unwrap(), content);
        }
        let next = found.next_seq;
        spool.append(&[(next, batch("b 1 1\n"))], &mut 0).unwrap();
    }
    assert_eq!(open(dir.path()).1.batches.len(), 3);
}

#[cfg(unix)]
#[test]
fn a_removed_directory_is_made_again_and_a_removed_lock_lets_nobody_in() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("spool");
    let (mut spool, _) = open(&dir);
    let batches = [(0, batch("a 1 1\n")), (1, batch("b 1 1\n"))];
    assert!(!spool.renew().unwrap());
    spool.append(&batches[..1], &mut 0).unwrap();
    assert!(!spool.renew().unwrap());
    std::fs::remove_file(dir.join("lock")).unwrap();
    assert!(Spool::open(&dir, "expvar-carbon", 1 << 20).is_err(), "the directory is held too");
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(spool.renew().unwrap());
    spool.append(&batches, &mut 0).unwrap();
    assert!(Spool::open(&dir, "expvar-carbon", 1 << 20).is_err(), "held again");
    // One file alone.
    std::fs::remove_file(&spool.segments[0].path).unwrap();
    assert!(spool.renew().unwrap());
    spool.append(&batches, &mut 0).unwrap();
    drop(spool);
    assert_eq!(texts(&open(&dir).1), [(0, "a 1 1\n"), (1, "b 1 1\n")]);
}

#[test]
fn the_disk_holds_no_more_than_what_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path());
    let big = batch(&"x".repeat(10_000));
    for seq in 0..1_000 {
        spool.append(&[(seq, big.clone())], &mut 0).unwrap();
        spool.done_below((seq + 1).saturating_sub(20)).unwrap();
        assert!(spool.bytes() <= 20 * 10_020 + 2 * (spool.segment_bytes + 10_100));
    }
    let files: u64 = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!(files, spool.bytes());
    drop(spool);
    assert_eq!(open(dir.path()).1.batches.len(), 20);
}

#[test]
fn a_directory_serves_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path());
    let error = Spool::open(dir.path(), "expvar-carbon", 1 << 20).unwrap_err();
    assert_eq!(error.to_string(), "another process uses this directory");
}
