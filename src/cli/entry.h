// The program as a function, for a main() that lies outside libconvoy.so.
#pragma once

/// Runs the command line. Returns the exit code: 0 done, 1 failed, 2 wrong usage or configuration, 75 stopped
/// on request at a checkpoint.
extern "C" __attribute__((visibility("default"))) int convoy_main(int argc, char** argv);
