package main

import (
	"context"
	"fmt"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/cmd/axle/progress"
)

type verifyCmd struct {
	Store string `required:"" env:"AXLE_STORE" help:"Folder, or s3://bucket/prefix?endpoint=URL&region=NAME."`
}

// Run reads everything. Damage is printed on standard output, a line each, and makes the command fail.
func (c verifyCmd) Run(ctx context.Context, s *command.Streams) error {
	store, err := command.OpenStore(ctx, c.Store, true)
	if err != nil {
		return err
	}
	defer store.Close()
	p := progress.New(s.Err, "verify: objects read")
	objects, findings := 0, 0
	err = store.Verify(ctx, func(done int, _ string) {
		objects = done
		p.Set(int64(done), -1)
	}, func(f cas.Finding) {
		findings++
		fmt.Fprintf(s.Out, "%s: %s\n", f.Key, f.Problem)
	})
	p.Done()
	if err != nil {
		return fmt.Errorf("verifying %s: %w", c.Store, err)
	}
	fmt.Fprintf(s.Err, "read %d objects, %d damaged\n", objects, findings)
	if findings > 0 {
		return fmt.Errorf("%d objects of %s are damaged; a damaged wheel is set aside when it is next asked for, and built anew", findings, c.Store)
	}
	return nil
}
