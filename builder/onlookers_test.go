package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/python-wheel-build/axle/builder/story"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
)

// TestOnlookers: what is under way is listed with what it does and waits for, and can be followed from any event on.
func TestOnlookers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, err := version.Parse("1.0")
		if err != nil {
			t.Fatal(err)
		}
		b := &Builder{flights: newFlights(t.Context())}
		demo, base := resolver.Ask{Project: "demo", Version: one}, resolver.Ask{Project: "base", Version: one}
		begin := time.Now()
		land := make(chan error)
		id := uint64(0)
		tell := func(f *flight, a resolver.Ask, kind, text string) {
			id++
			f.Tell(resolver.Event{ID: id, Time: time.Now(), Project: a.Project, Version: a.Version, Kind: kind, Text: text, Expected: time.Minute})
		}
		go func() {
			_, _ = b.flights.join(context.Background(), "demo", "demo 1.0", "v", nil, func(ctx context.Context, f *flight) error {
				f.Describe(demo, stageWheel)
				f.Expect(time.Minute)
				tell(f, demo, "begin", "running")
				for i := range 1000 {
					tell(f, demo, "log", fmt.Sprint(i))
				}
				time.Sleep(time.Second)
				_, err := b.flights.join(as(ctx, f.key), "base", "base 1.0 (metadata)", "v", f.Tell, func(_ context.Context, f *flight) error {
					f.Describe(base, stageMetadata)
					tell(f, base, "wait", "for a slot") // which the other one hears too
					return <-land
				})
				return err
			})
		}()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got := b.Flights()
		if len(got) != 2 || got[0].Project != "demo" || got[1].Project != "base" || got[0].ID == got[1].ID || got[0].ID == "" {
			t.Fatalf("%+v", got)
		}
		if f := got[0]; f.Stage != "wheel" || !f.Since.Equal(begin) || f.Doing.Text != "running" || f.Expected != time.Minute || !slices.Equal(f.WaitsFor, []string{"base 1.0 (metadata)"}) || f.View != "v" {
			t.Errorf("%+v", f)
		}
		if f := got[1]; f.Stage != "metadata" || !f.Since.Equal(begin.Add(time.Second)) || f.Doing.Text != "for a slot" || f.Expected != 0 || f.WaitsFor != nil {
			t.Errorf("%+v", f)
		}

		follow := func(n uint64) (told []string) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if err := b.Follow(ctx, got[0].ID, n, func(n uint64, e resolver.Event) { told = append(told, fmt.Sprint(n, e.Kind, e.Text)) }); !errors.Is(err, resolver.ErrPending) {
				t.Errorf("%v", err)
			}
			return told
		}
		// Of the forgotten part the beginning is told, by its number; what others said that it waits for is part of it.
		all := follow(0)
		if all[0] != "1beginrunning" || all[len(all)-2] != "1001log999" || all[len(all)-1] != "1002waitfor a slot" || len(all) > story.Kept+1 || len(all) < story.Kept/2 {
			t.Errorf("%d events, %s … %s", len(all), all[:2], all[len(all)-2:])
		}
		if late := follow(1000); strings.Join(late, " ") != "1001log999 1002waitfor a slot" {
			t.Errorf("%s", late)
		}
		if end := follow(1002); len(end) != 0 {
			t.Errorf("%s", end)
		}
		if err := b.Follow(context.Background(), "nothing", 0, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}

		// A follower hears how it ended.
		outcome := make(chan error)
		go func() {
			outcome <- b.Follow(context.Background(), got[0].ID, 0, func(uint64, resolver.Event) {})
		}()
		synctest.Wait()
		land <- errors.New("no x.h")
		if err := <-outcome; err == nil || err.Error() != "no x.h" {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if got := b.Flights(); len(got) != 0 {
			t.Errorf("left over: %+v", got)
		}
	})
}

// TestNotice: the builder's own watcher hears of each job once that it begins, and how it ends.
func TestNotice(t *testing.T) {
	var heard []string
	b := &Builder{Watch: func(e resolver.Event) { heard = append(heard, e.Kind) }}
	told := 0
	tell := b.notice(func(resolver.Event) { told++ })
	for _, e := range []resolver.Event{{Kind: "wait"}, {Kind: "begin"}, {Kind: "log"}, {Kind: "begin", Ran: time.Second}, {Kind: "built"}} {
		tell(e)
	}
	if !slices.Equal(heard, []string{"begin", "built"}) || told != 5 {
		t.Errorf("%s, and %d told", heard, told)
	}
}
