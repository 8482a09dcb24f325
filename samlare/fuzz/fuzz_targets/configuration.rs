//! Any text is a configuration or a list of mistakes with their lines, none of which repeats it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samlare::config::Config;

fuzz_target!(|text: &str| {
    match Config::parse(text) {
        Ok((_, warnings)) => assert!(warnings.iter().all(|warning| warning.line >= 1)),
        Err(errors) => {
            assert!(!errors.is_empty());
            let lines = text.split('\n').count();
            assert!(errors.iter().all(|error| (1..=lines).contains(&error.line)));
        }
    }
});
