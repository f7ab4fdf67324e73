FROM node:20-slim AS packages
WORKDIR /app
COPY package.json ./
RUN npm install

FROM nginx:alpine
COPY web /usr/share/nginx/html
COPY --from=packages /app/node_modules/vue/dist /usr/share/nginx/html/vendor
