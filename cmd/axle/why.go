package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/index/why"
	"github.com/python-wheel-build/axle/internal/dist"
	versions "github.com/python-wheel-build/axle/internal/version"
)

// question is what the commands share that ask a server about one requirement.
type question struct {
	Requirement string `arg:"" name:"req" help:"A project, with a version where wanted: foo==1.2, foo, 'foo>=1,<2'."`
	server
	View string `default:"default" help:"Name or @digest of the view."`
	JSON bool   `name:"json" help:"Print what the server says, as JSON."`
}

type explainCmd struct {
	question
	Against string `help:"Name or @digest of another view: what is different there?"`
}

type dependentsCmd struct {
	question
	Direct bool `help:"Leave out what was built with it only by way of others."`
}

type keyCmd struct{ question }

// Run says whether the version is a hit, and why not: in words.
func (c explainCmd) Run(ctx context.Context, s *command.Streams) error {
	q := url.Values{}
	if c.Against != "" {
		q.Set("against", c.Against)
	}
	return c.ask(ctx, s, "explain", q, &why.Answer{})
}

// Run lists what was built with it.
func (c dependentsCmd) Run(ctx context.Context, s *command.Streams) error {
	q := url.Values{}
	if c.Direct {
		q.Set("direct", "1")
	}
	return c.ask(ctx, s, "dependents", q, &why.Dependents{})
}

// Run prints the recipe's digest and the input digest of the hit.
func (c keyCmd) Run(ctx context.Context, s *command.Streams) error {
	return c.ask(ctx, s, "key", url.Values{}, &why.Key{})
}

// maxAnswer bounds what is read of a server's answer.
const maxAnswer = 256 << 20

// ask gets an answer and prints it.
func (c question) ask(ctx context.Context, s *command.Streams, what string, query url.Values, answer interface{ Text() string }) error {
	want, err := dist.ParseRequirement(c.Requirement)
	if err != nil {
		return err
	}
	if want.URL != "" || want.Marker != nil {
		return fmt.Errorf("requirement %q: want a project and versions, without a URL or a marker", c.Requirement)
	}
	path := "api/v1/" + what + "/" + string(want.Project)
	set := want.Set.String()
	text, exactly := strings.CutPrefix(set, "==")
	if exact, err := versions.Parse(text); err == nil && exactly {
		path += "/" + url.PathEscape(exact.String())
	} else {
		query.Set("specifier", set)
	}
	query.Set("view", c.View)
	resp, err := c.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("asking %s: %w", c.Server, err)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("%s: the answer is not what this program understands: %w; are both of one version?", c.Server, err)
	}
	said := answer.Text()
	if c.JSON {
		said = command.EscapeJSON(string(body))
	}
	_, err = io.WriteString(s.Out, said)
	return err
}
