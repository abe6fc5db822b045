# The stub provider and the API of the demo; nothing of it is in the product.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /stub ./test/stub

FROM scratch
COPY --from=build /stub /stub
ENTRYPOINT ["/stub"]
