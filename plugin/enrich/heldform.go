package enrich

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// heldForm is the form in which gateways share a held answer. One of another version
// of the plugin may have other members, and isn't read.
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
	Value []byte `json:"value"` // base64 keeps its bytes
}

// maxHeldForm is the size of a form: base64 makes four bytes of three.
const maxHeldForm = 2 * maxHeldSize

// MarshalJSON implements [json.Marshaler].
func (h *Held) MarshalJSON() ([]byte, error) {
	form := heldForm{h.ClientID, h.KeyID, h.Signed.UnixMilli(), h.Expires.Unix(), h.Body, h.Payload, nil}
	for _, m := range h.Added {
		form.Added = append(form.Added, addedForm{m.Name, m.Value})
	}
	return json.Marshal(form)
}

// UnmarshalJSON implements [json.Unmarshaler]. Its errors quote nothing.
func (h *Held) UnmarshalJSON(text []byte) error {
	if len(text) > maxHeldForm {
		return errors.New("the shared answer is too large")
	}
	var form heldForm
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&form) != nil {
		return errHeldForm
	}
	restored := Held{
		ClientID: form.ClientID, KeyID: form.KeyID, Signed: time.UnixMilli(form.Signed), Expires: time.Unix(form.Expires, 0),
		Body: form.Body, Payload: form.Payload,
	}
	for _, m := range form.Added {
		if value := jsontext.Value(m.Value); m.Name == "" || !value.IsValid() {
			return errHeldForm
		}
		restored.Added = append(restored.Added, splice.Member{Name: m.Name, Value: m.Value})
	}
	if !schema.ValidID(restored.ClientID) || restored.KeyID == "" || !restored.Signed.Before(restored.Expires) {
		return errHeldForm
	}
	if err := restored.complete(); err != nil {
		return err
	}
	*h = restored
	return nil
}

var errHeldForm = errors.New("the shared answer isn't one of this version")
