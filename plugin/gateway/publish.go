package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Document is what anyone may read and cache for MaxAge.
type Document struct {
	Body        []byte
	ContentType string
	MaxAge      time.Duration // whole seconds
}

// Publishes reports whether the gateway has a document at path.
func (g *Gateway) Publishes(path string) bool {
	return path == g.Config.Signing.JWKSPath || slices.Contains(g.issuer.paths, path)
}

// Publish returns the document at path: the gateway's JWK set or, where it is an
// issuer of its own, its metadata. The error says what is missing now.
func (g *Gateway) Publish(ctx context.Context, path string) (Document, error) {
	doc := Document{MaxAge: time.Duration(g.Config.Signing.JWKSMaxAge) * time.Second}
	if !g.Publishes(path) {
		return doc, fmt.Errorf("nothing is published at %q", path)
	}
	ring, err := g.Keys.Ring(ctx)
	if err != nil {
		return doc, err
	}
	if path == g.Config.Signing.JWKSPath {
		doc.ContentType, doc.Body = "application/jwk-set+json", ring.PublicSet()
		return doc, nil
	}
	provider, err := g.Provider.Metadata(ctx)
	if err != nil {
		return doc, err
	}
	doc.ContentType = "application/json"
	doc.Body, err = g.issuer.document(g.Config, ring, provider)
	return doc, err
}
