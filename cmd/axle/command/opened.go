package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cmd/axle/host"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/upstream"
)

// StoreFlags are those of a command that works on a store which is there already.
type StoreFlags struct {
	Store string `required:"" env:"AXLE_STORE" help:"The store: a folder, or s3://bucket/prefix?endpoint=URL&region=NAME."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Opened is a store and what is asked of it.
type Opened struct {
	*cas.Store // to be closed
	Names      *names.Names
	Catalog    *resolver.Catalog
}

// Open opens the store.
func (f StoreFlags) Open(ctx context.Context) (*Opened, error) {
	store, err := OpenStore(ctx, f.Store, true)
	if err != nil {
		return nil, err
	}
	catalog, err := NewCatalog(store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &Opened{store, &names.Names{Store: store}, catalog}, nil
}

// NewCatalog answers out of the store and the indexes, to which it shows the logins of this user's netrc.
func NewCatalog(store *cas.Store) (*resolver.Catalog, error) {
	netrc, err := host.Netrc()
	if err != nil {
		return nil, err
	}
	client := &upstream.Client{Credentials: netrc.Credentials, Fresh: time.Minute, Agent: "axle/" + Version()}
	return &resolver.Catalog{Sources: source.Sources{Store: store, Upstream: client, Git: host.Git(netrc)}}, nil
}

// Print writes v as JSON, or else what text writes.
func (f StoreFlags) Print(w io.Writer, v any, text func(io.Writer) error) error {
	if !f.JSON {
		return text(w)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, EscapeJSON(b.String()))
	return err
}
