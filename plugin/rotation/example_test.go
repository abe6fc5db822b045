package rotation_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"m2m-token-enricher/plugin/rotation"
)

// Rotate is run often, for example every hour by cron. Most runs find that nothing
// is due.
func ExampleRotate() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path, now := filepath.Join(dir, "keys.json"), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	text, err := rotation.Generate("ec", now)
	if err != nil {
		log.Fatal(err)
	}
	if err := rotation.Create(path, text); err != nil {
		log.Fatal(err)
	}
	for range 5 {
		taken, next, err := rotation.Rotate(path, rotation.DefaultPolicy, now)
		if err != nil {
			log.Fatal(err)
		}
		if taken != nil {
			fmt.Printf("%s: %s\n", now.Format(time.DateTime), taken.Verb)
		}
		now = next.Due
	}
	// Output:
	// 2027-04-01 00:00:00: add
	// 2027-04-01 00:06:00: promote
	// 2027-04-01 00:12:00: retire
	// 2027-04-02 00:12:00: remove
}
