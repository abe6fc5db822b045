package records

import (
	"context"
	"crypto/rand"
	_ "embed" // the script
	"fmt"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

//go:embed purge.lua
var purgeText string

var purgeScript = redis.NewScript(purgeText)

// Purge makes every gateway forget the answers that it could reuse for a client.
// With many clients purged already, it makes them forget those of all, and reports
// so. The error wraps schema.ErrUnavailable: then the purge may have been made.
func (s *Store) Purge(ctx context.Context, clientID string) (all bool, err error) {
	if !schema.ValidID(clientID) {
		return false, fmt.Errorf("the client id %.300q is not %s", clientID, schema.IDForm)
	}
	return s.purge(ctx, schema.PurgedClient(clientID))
}

// PurgeAll makes every gateway forget all answers that it could reuse.
func (s *Store) PurgeAll(ctx context.Context) error {
	_, err := s.purge(ctx, schema.PurgedAll)
	return err
}

// purge leaves a mark called name. Its value never comes again.
func (s *Store) purge(ctx context.Context, name string) (all bool, err error) {
	key := schema.PurgeMarksKey(s.prefix)
	left, err := purgeScript.Run(ctx, s.client, []string{key}, name, rand.Text(), schema.PurgedAll, schema.MaxPurgeMarks).Text()
	if err != nil {
		return false, connect.RecordError(key, withoutRight(err))
	}
	return left == schema.PurgedAll, nil
}
