// Calls a container runtime as the kubelet does: one request of the CRI, given and answered as JSON.
//
//	cri RunPodSandbox '{"config": {...}, "runtime_handler": "keg"}'
//
// The requests and answers are those of k8s.io/cri-api/pkg/apis/runtime/v1/api.proto: the method is looked
// up in its descriptors, so every call of both services can be made and none is written down here.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func method(name string) (protoreflect.MethodDescriptor, error) {
	services := cri.File_staging_src_k8s_io_cri_api_pkg_apis_runtime_v1_api_proto.Services()
	for i := 0; i < services.Len(); i++ {
		if found := services.Get(i).Methods().ByName(protoreflect.Name(name)); found != nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("the CRI has no method %q", name)
}

func call(socket, name, request string) (string, error) {
	method, err := method(name)
	if err != nil {
		return "", err
	}
	question, answer := dynamicpb.NewMessage(method.Input()), dynamicpb.NewMessage(method.Output())
	if err := protojson.Unmarshal([]byte(request), question); err != nil {
		return "", err
	}
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	limited, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	path := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
	if err := connection.Invoke(limited, path, question, answer); err != nil {
		return "", err
	}
	options := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}
	text, err := options.Marshal(answer)
	return string(text), err
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: cri METHOD REQUEST (JSON)")
		os.Exit(2)
	}
	socket := os.Getenv("CONTAINER_RUNTIME_ENDPOINT")
	if socket == "" {
		socket = "/run/containerd/containerd.sock"
	}
	answer, err := call(socket, os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(answer)
}
