//go:build race

package e2e

// raced says that the tests, and so the plugin, run with the race detector.
const raced = true
