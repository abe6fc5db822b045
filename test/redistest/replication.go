package redistest

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
)

var (
	masterOffset  = regexp.MustCompile(`master_repl_offset:(\d+)`)
	replicaOffset = regexp.MustCompile(`(?m)^slave\d+:.*,offset=(\d+),`)
)

// WaitReplicated waits until the server has a replica, and all of them have what
// was written to it so far by any connection. WAIT doesn't say that: it is about
// what its own connection wrote.
func (s *Server) WaitReplicated() {
	s.tb.Helper()
	written := int64(-1)
	await(s.tb, "replicate what was written", func(ctx context.Context) error {
		info, err := s.client.Info(ctx, "replication").Result()
		if err != nil {
			return err
		}
		if written < 0 {
			written = offsets(masterOffset, info)[0]
		}
		replicas := offsets(replicaOffset, info)
		for _, n := range replicas {
			if n < written {
				return fmt.Errorf("a replica has %d of %d bytes", n, written)
			}
		}
		if len(replicas) == 0 {
			return fmt.Errorf("%s has no replica", s.Addr())
		}
		return nil
	})
}

func offsets(pattern *regexp.Regexp, info string) (found []int64) {
	for _, m := range pattern.FindAllStringSubmatch(info, -1) {
		n, _ := strconv.ParseInt(m[1], 10, 64) // digits
		found = append(found, n)
	}
	return found
}
