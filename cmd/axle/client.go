package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/cmd/axle/command"
)

// server is the one that a command asks.
type server struct {
	Server string `env:"AXLE_SERVER" default:"http://127.0.0.1:8080" help:"The server to ask."`
	Token  string `env:"AXLE_TOKEN" help:"A token of 'axle token create', where the server wants one."`
}

// do sends a request, whose body is JSON if there is one, and gives an answer of status 200; any other one is an error in the server's words.
// The caller closes the body. path has no leading slash.
func (s server) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	address := strings.TrimSuffix(s.Server, "/") + "/" + path
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, fmt.Errorf("--server %s: %w", s.Server, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the server: %w; is it running? `axle serve`, or name another with --server", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var problem struct{ Title, Detail string }
	_ = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&problem) // a body that says nothing leaves the status
	address, _, _ = strings.Cut(address, "?")
	said := slices.DeleteFunc([]string{address, resp.Status, problem.Title, problem.Detail}, func(s string) bool { return s == "" })
	return nil, errors.New(command.Tame(strings.Join(said, ": ")))
}
