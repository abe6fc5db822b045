//go:build race

package e2e

// raced tells that the tests run with the race detector; the plugin then does
// too.
const raced = true
