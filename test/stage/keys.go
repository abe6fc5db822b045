package stage

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// KeysCommand runs a keys command of the plugin's executable and returns its
// output.
func KeysCommand(ctx context.Context, binary string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, binary, append([]string{"keys"}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("keys %s: %w: %s", args[0], err, out)
	}
	return string(out), nil
}

// KeyInRole returns the first key of the file in a role such as "next", "" if
// there is none.
func KeyInRole(ctx context.Context, binary, file, role string) (string, error) {
	list, err := KeysCommand(ctx, binary, "list", file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(list) {
		if words := strings.Fields(line); len(words) > 2 && words[2] == role {
			return words[0], nil
		}
	}
	return "", nil
}
