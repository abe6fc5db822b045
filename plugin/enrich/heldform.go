package enrich

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// heldForm is the form in which gateways share a held answer. Its bytes are in
// base64. Another version of the plugin may have another form, which isn't read.
type heldForm struct {
	ClientID string      `json:"client_id"`
	KeyID    string      `json:"kid"`
	Signed   int64       `json:"signed"`  // ms since 1970
	Expires  int64       `json:"expires"` // s since 1970
	Body     []byte      `json:"body"`
	Payload  []byte      `json:"payload"`
	Added    []addedForm `json:"added"`
}

type addedForm struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

// maxHeldForm is the size of a form. Base64 makes four bytes of three.
const maxHeldForm = 2 * maxHeldSize

// MarshalJSON returns the form of h.
func (h *Held) MarshalJSON() ([]byte, error) {
	form := heldForm{h.ClientID, h.KeyID, h.Signed.UnixMilli(), h.Expires.Unix(), h.Body, h.Payload, nil}
	for _, m := range h.Added {
		form.Added = append(form.Added, addedForm{m.Name, m.Value})
	}
	return json.Marshal(form)
}

// UnmarshalJSON reads the form of an answer, and nothing else. Its errors quote no
// part of it.
func (h *Held) UnmarshalJSON(text []byte) error {
	var form heldForm
	if len(text) > maxHeldForm || json.Unmarshal(text, &form, json.RejectUnknownMembers(true)) != nil {
		return errHeldForm
	}
	if !schema.ValidID(form.ClientID) || form.KeyID == "" {
		return errHeldForm
	}
	restored := Held{
		ClientID: form.ClientID, KeyID: form.KeyID, Signed: time.UnixMilli(form.Signed), Expires: time.Unix(form.Expires, 0),
		Body: form.Body, Payload: form.Payload,
	}
	for _, m := range form.Added {
		if !jsontext.Value(m.Value).IsValid() {
			return errHeldForm
		}
		restored.Added = append(restored.Added, splice.Member{Name: m.Name, Value: m.Value})
	}
	claims, err := splice.Parse(form.Payload)
	if err != nil {
		return fmt.Errorf("the provider's claims: %w", err)
	}
	restored.claims, restored.countdowns = jws.Claims{Object: claims}, countdownsIn(form.Body)
	if err := restored.complete(restored.countdowns()); err != nil {
		return err
	}
	*h = restored
	return nil
}

var errHeldForm = errors.New("the shared answer isn't one of this version")
