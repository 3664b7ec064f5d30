//! The output of runners, one module a family.

pub mod beam;
pub mod cargo;
pub mod cpp;
pub mod ctest;
pub mod diagnostics;
pub mod go;
pub mod guess;
pub mod java;
pub mod jest;
pub mod keyword;
pub mod libtest;
pub mod mocha;
pub mod nextest;
pub mod node;
pub mod perl;
pub mod phpunit;
pub mod playwright;
pub mod pytest;
pub mod ruby;
pub mod rust;
pub mod tap;
pub mod unittest;
pub mod vitest;

use crate::sheet::Runner;

/// Returns a recogniser of each family for one stream.
pub fn of_a_stream() -> Vec<Box<dyn Runner>> {
    vec![
        Box::new(pytest::Pytest::new()),
        Box::new(unittest::Unittest::new()),
        Box::new(nextest::Nextest::new()),
        Box::new(libtest::Libtest::new()),
        Box::new(jest::Jest::new()),
        Box::new(mocha::Mocha::new()),
        Box::new(playwright::Playwright::new()),
        Box::new(tap::Tap::new()),
        Box::new(ctest::Ctest::new()),
        Box::new(cpp::GoogleTest::new()),
        Box::new(cpp::Catch::new()),
        Box::new(java::Java::new()),
        Box::new(ruby::Rspec::new()),
        Box::new(ruby::Minitest::new()),
        Box::new(phpunit::Phpunit::new()),
        Box::new(beam::Exunit::new()),
        Box::new(beam::Eunit::new()),
        Box::new(keyword::Robot::new()),
        Box::new(keyword::Behave::new()),
    ]
}

/// Returns a recogniser of each family whose results are spread over both streams.
pub fn of_both_streams() -> Vec<Box<dyn Runner>> {
    vec![
        Box::new(cargo::Cargo::new()),
        Box::new(go::Go::new()),
        Box::new(vitest::Vitest::new()),
        Box::new(node::Node::new()),
        Box::new(perl::Perl::new()),
    ]
}
