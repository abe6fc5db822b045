# The demo's stub provider and API. The product has no part of it.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /stub ./test/stub

FROM scratch
COPY --from=build /stub /stub
ENTRYPOINT ["/stub"]
